"""Raw observations to the numbers that networks see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pamdp.base.lazy import tf

LIMIT = 10.0  # of a feature scaled by its moments


class Observed(NamedTuple):
    """Running moments of the observations so far (Welford 1962).

    Attributes:
      count: [] float, how many there were.
      mean: [S].
      squares: [S] sum of squared deviations from the mean.
    """

    count: tf.Tensor
    mean: tf.Tensor
    squares: tf.Tensor


MaybeObserved = Observed | tuple[()]  # nothing to remember where all bounds are finite


@dataclass(frozen=True)
class Scaling:
    """Features with finite bounds go to [-1, 1]; the others lose their running mean and spread.

    Attributes:
      low: [S] lower bounds, environment units; may be infinite.
      high: [S] upper bounds.
    """

    low: np.ndarray
    high: np.ndarray

    @cached_property
    def bounded(self) -> np.ndarray:
        """[S] bool: which features have finite bounds."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    def initial(self) -> MaybeObserved:
        """What is remembered before the first observation: nothing where all bounds are finite."""
        if self.bounded.all():
            return ()
        zeros = tf.zeros([len(self.low)])
        return Observed(tf.constant(0.0), zeros, zeros)

    def updated(self, observed: MaybeObserved, observation: tf.Tensor) -> MaybeObserved:
        """The moments after one more raw observation [S]."""
        if not observed:
            return observed
        count, change = observed.count + 1.0, observation - observed.mean
        mean = observed.mean + change / count
        return Observed(count, mean, observed.squares + change * (observation - mean))

    def apply(self, observed: MaybeObserved, observation: tf.Tensor) -> tf.Tensor:
        """Raw observations [..., S] to scaled ones."""
        observation = tf.cast(observation, tf.float32)
        low, high = np.where(self.bounded, self.low, -1), np.where(self.bounded, self.high, 1)
        scaled = 2 * (observation - low) / (high - low) - 1
        if not observed:
            return scaled
        spread = tf.sqrt(observed.squares / observed.count + 1e-8)
        normal = tf.clip_by_value((observation - observed.mean) / spread, -LIMIT, LIMIT)
        return tf.where(self.bounded, scaled, normal)

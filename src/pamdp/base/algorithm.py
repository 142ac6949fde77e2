"""What an algorithm is: a Q-function. The algorithms differ in how it sees the parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from pamdp.base.component import Component
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import ActionSpec


class Algorithm(Component, ABC):
    """Base of all algorithms: settings from which a Q-function is made.

    Attributes:
      kind: names the file and selects the algorithm in params.yaml.
      title: its name for readers.
      rule: how the Q-function sees the parameters.
      reference: where it comes from.
    """

    kind: str
    title: ClassVar[str]
    rule: ClassVar[str]
    reference: ClassVar[str]

    @abstractmethod
    def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
        """The Q-function with this network in this action space."""


@dataclass(frozen=True)
class QFunction(ABC):
    """Base of the algorithms' Q-functions: pure functions of the weights.

    Attributes:
      network: the settings of the Q-network.
      spec: the action space.
    """

    network: Network
    spec: ActionSpec

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Initial weights: a perceptron from [s, x] (S + P inputs) to K action values."""
        inputs = features + self.spec.num_parameters
        return self.network.initial(key, inputs, self.spec.num_actions)

    @property
    def networks(self) -> int:
        """How many networks there are. Estimates of memory and time go by it, no result."""
        return 1

    @property
    def passes(self) -> int:
        """How often hidden layers are computed for all action values; for estimates, too."""
        return self.networks

    @abstractmethod
    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """All action values.

        Args:
          weights: nest of tensors, as `initial` makes it.
          s: [B, S] scaled observations.
          x: [B, P] scaled parameters.

        Returns:
          [B, K].
        """

    def own_products(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """[B, P] parameters times their weights [P, H], each action's apart: [K, B, H]."""
        blocks = tf.transpose(self.spec.pad(tf.transpose(kernel)), [1, 2, 0])  # [K, m, H]
        return tf.transpose(self.spec.pad(x), [1, 0, 2]) @ blocks

    def taken(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """[B] values of one action [B] in each row: `values`, picked."""
        return pick(self.values(weights, s, x), action)


def pick(values: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    """[B, K] values and [B] actions to [B] values."""
    # A masked sum: its gradient is a product, that of a gather would be a scatter.
    return tf.reduce_sum(values * tf.one_hot(action, values.shape[-1]), axis=-1)

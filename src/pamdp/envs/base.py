"""The functional form of an environment: pure, batched TensorFlow functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from pamdp.lazy import tf
from pamdp.spaces import ActionSpec
from pamdp.structure import Component


class Outcome(NamedTuple):
    """What one action led to. Everything has a leading batch axis [B]."""

    state: Any
    reward: tf.Tensor  # [B] float
    terminated: tf.Tensor  # [B] bool; the end of the task, never of the time limit
    success: tf.Tensor  # [B] bool; the task's own criterion, where it has one


class Path(NamedTuple):
    """The states on the way through one action, for pictures."""

    states: Any  # nest of [T, B, ...]
    length: tf.Tensor  # [] int32, how many of the T states count; the last one is the outcome's


def where(condition: tf.Tensor, new: Any, old: Any) -> Any:
    """Rows of `new` where the condition [B] holds, of `old` elsewhere; nests of [B, ...]."""

    def select(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.reshape(condition, [-1] + [1] * (a.shape.rank - 1)), a, b)

    return tf.nest.map_structure(select, new, old)


class Environment(Component):
    """An environment as pure functions of (state, action, key).

    `kind` names the file. The functions are batched: a state is a nest of tensors with a leading
    axis [B], and each row is an independent copy. What does not depend on settings may be a class
    variable instead of a property.
    """

    kind: str
    if TYPE_CHECKING:  # a setting of each, but for a wrapper's, which is its task's
        version: str = ""

    @property
    def title(self) -> str:
        """Its name in Gymnasium, without namespace and version."""
        return type(self).__name__

    @property
    def gymnasium_id(self) -> str:
        """The name under which Gymnasium knows it."""
        return f"pamdp/{self.title}-{self.version}"

    @classmethod
    def variants(cls) -> tuple[Environment, ...]:
        """What is registered with Gymnasium: one for each version, settings at their defaults."""
        kind, versions = (get_args(cls.model_fields[n].annotation) for n in ("kind", "version"))
        return tuple(cls(kind=kind[0], version=version) for version in versions)

    @property
    def actions(self) -> ActionSpec:
        """The action space."""
        raise NotImplementedError

    @property
    def observation_low(self) -> np.ndarray:
        """[S] lower bounds of observations."""
        raise NotImplementedError

    @property
    def observation_high(self) -> np.ndarray:
        """[S] upper bounds of observations."""
        raise NotImplementedError

    @property
    def max_episode_steps(self) -> int:
        """The time limit in actions."""
        raise NotImplementedError

    def initial(self, key: tf.Tensor, batch: int) -> Any:
        """States of `batch` new episodes."""
        raise NotImplementedError

    def observation(self, state: Any) -> tf.Tensor:
        """[B, S] observations, in the environment's own units."""
        raise NotImplementedError

    def transition(
        self, state: Any, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        """Carries out one action in each copy.

        Args:
          state: nest of [B, ...].
          action: [B] int32.
          parameters: [B, m] the taken action's parameters, environment units; clipped here.
          key: [2] int32, a key of `seeding.stream`.
        """
        raise NotImplementedError

    def path(self, state: Any, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor) -> Path:
        """The states within one action; arguments as for `transition`.

        An environment whose actions last for several ticks overrides this, so that its pictures
        move smoothly. It is not used in learning.
        """
        end = self.transition(state, action, parameters, key).state
        return Path(tf.nest.map_structure(lambda leaf: leaf[None], end), tf.constant(1))

    def picture(self, state: Any, caption: str = "") -> np.ndarray:
        """Draws a state of batch size 1: [height, width, 3] uint8."""
        raise NotImplementedError

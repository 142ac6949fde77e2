"""The functional form of an environment: pure, batched TensorFlow functions."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple, Protocol, get_args

import gymnasium
import numpy as np

from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec
from pamdp.base.task import Task


class Outcome(NamedTuple):
    """What one action led to. Everything has a leading batch axis [B]."""

    state: Any
    reward: tf.Tensor  # [B] float
    terminated: tf.Tensor  # [B] bool; the end of the task, not of a limit that it does not know
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


class Dynamics(Protocol):
    """What a rollout needs of an environment; see `Environment`."""

    @property
    def actions(self) -> ActionSpec: ...  # noqa: D102

    @property
    def time_limit(self) -> int: ...  # noqa: D102

    def initial(self, key: tf.Tensor, batch: int) -> Any: ...  # noqa: D102

    def observation(self, state: Any) -> tf.Tensor: ...  # noqa: D102

    def transition(  # noqa: D102
        self, state: Any, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome: ...


class Environment(Task):
    """An environment as pure functions of (state, action, key).

    `kind` names the file. The functions are batched: a state is a nest of tensors with a leading
    axis [B], and each row is an independent copy. What does not depend on settings may be a class
    variable instead of a property.
    """

    render_modes: ClassVar[tuple[str, ...]] = ("rgb_array",)

    @classmethod
    @abstractmethod
    def variants(cls) -> tuple[Environment, ...]:
        """What is registered with Gymnasium, settings at their defaults."""

    @abstractmethod
    def initial(self, key: tf.Tensor, batch: int) -> Any:
        """States of `batch` new episodes."""

    @abstractmethod
    def observation(self, state: Any) -> tf.Tensor:
        """[B, S] observations, in the environment's own units."""

    @abstractmethod
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

    def path(self, state: Any, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor) -> Path:
        """The states within one action; arguments as for `transition`.

        An environment whose actions last for several ticks overrides this, so that its pictures
        move smoothly. It is not used in learning.
        """
        end = self.transition(state, action, parameters, key).state
        return Path(tf.nest.map_structure(lambda leaf: leaf[None], end), tf.constant(1))

    @abstractmethod
    def picture(self, state: Any, caption: str = "") -> np.ndarray:
        """Draws a state of batch size 1: [height, width, 3] uint8."""

    def make(self, render_mode: str | None = None) -> gymnasium.Env:
        """Its Gymnasium form, as it is registered, with these settings."""
        settings = self.model_dump(exclude={"kind"})
        # Not by its id, with which Gymnasium warns of all versions but the last.
        registered = gymnasium.spec(self.gymnasium_id)
        return gymnasium.make(
            registered, disable_env_checker=True, render_mode=render_mode, **settings
        )


class Versioned(Environment):
    """An environment of its own, with a version as Gymnasium counts them.

    Attributes:
      version: names what is published; a new one whenever the behaviour changes.
    """

    version: str = "v0"

    @property
    def title(self) -> str:
        """Its name in Gymnasium, without namespace and version."""
        return type(self).__name__

    @property
    def gymnasium_id(self) -> str:
        """`pamdp/<title>-<version>`."""
        return f"pamdp/{self.title}-{self.version}"

    @classmethod
    def variants(cls) -> tuple[Environment, ...]:
        """One for each version."""
        kind, versions = (get_args(cls.model_fields[n].annotation) for n in ("kind", "version"))
        return tuple(cls(kind=kind[0], version=version) for version in versions)

"""What a task is: an environment to be learned, whatever form it has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from pamdp.base.component import Component, modules_of
from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec


class Task(Component, ABC):
    """Base of all environments in the settings; `kind` selects one.

    Two forms derive from it: `Environment`, pure functions for the compiled loop, and `Gymnasium`,
    any environment by its id. Spaces, time limit and what can be told of a task are the same for
    both; `pamdp.learning.loops` says which loop trains which form.
    """

    kind: str

    @property
    @abstractmethod
    def gymnasium_id(self) -> str:
        """The name under which Gymnasium knows it."""

    @property
    @abstractmethod
    def actions(self) -> ActionSpec:
        """The action space."""

    @property
    @abstractmethod
    def observation_low(self) -> np.ndarray:
        """[S] lower bounds of observations, environment units; infinite where there are none."""

    @property
    @abstractmethod
    def observation_high(self) -> np.ndarray:
        """[S] upper bounds."""

    @property
    def observation_offset(self) -> np.ndarray | None:
        """[S] float64: what `make` subtracts of the environment's own numbers; None for nothing."""
        return None

    @property
    @abstractmethod
    def time_limit(self) -> int:
        """After how many actions an episode is cut off."""

    @property
    @abstractmethod
    def render_modes(self) -> tuple[str, ...]:
        """In which ways it draws."""

    @abstractmethod
    def make(self, render_mode: str | None = None) -> gymnasium.Env:
        """A new Gymnasium environment, with its time limit.

        Its actions are elements of `actions.space()`, its observations [S] float32.
        """

    @property
    def side_by_side(self) -> int:
        """How many of it a learner acts in at a time."""
        return 1

    def with_facts(self, facts: Mapping[str, Any]) -> Task:
        """The same task, with what `setup` has measured and it needs; ours need nothing."""
        del facts
        return self

    def check(self) -> list[str]:
        """Checks that it keeps to the interface, and tells what a user should know; ours do.

        Raises:
          PamdpError: it does not keep to the interface.
        """
        return []

    @property
    def sources(self) -> set[str]:
        """The modules that its behaviour follows from, with all that these import."""
        return modules_of(self)

    def describe(self) -> dict[str, Any]:
        """Its id, time limit and spaces as plain values, as they are published."""
        return {
            "id": self.gymnasium_id,
            "max_episode_steps": self.time_limit,
            "observation": {
                "shape": [len(self.observation_low)],
                "low": ends(self.observation_low),
                "high": ends(self.observation_high),
            },
            "actions": [
                {"name": action.name, "low": list(action.low), "high": list(action.high)}
                | ({"features": list(action.features)} if action.features else {})
                for action in self.actions.actions
            ],
        }


def raw(task: Task, observation: np.ndarray) -> np.ndarray:
    """Observations [..., S] that `task.make()` gave, in the environment's own units."""
    offset = task.observation_offset
    return observation if offset is None else observation + offset


def centred(task: Task, observation: Any) -> Any:
    """Raw observations [..., S], an array or a tensor, as `task.make()` gives them."""
    offset = task.observation_offset
    return observation if offset is None else tf.cast(observation - offset, tf.float32)


def ends(values: np.ndarray) -> list[float | None]:
    """Bounds, null where there are none, which JSON cannot write."""
    return [value if np.isfinite(value) else None for value in values.tolist()]

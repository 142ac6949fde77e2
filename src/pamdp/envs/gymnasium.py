"""Any Gymnasium environment with a parameterised action space, by its id."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from pamdp.problems import SettingsError
from pamdp.spaces import Action, ActionSpec
from pamdp.structure import Component


class Gymnasium(Component):
    """An environment that the host loop steps.

    Attributes:
      id: what `gymnasium.make` takes. The action space is `Tuple(Discrete(K), Tuple(Box, ...))`
        with K boxes, the observation space a Box; all bounds are finite.
    """

    kind: Literal["gymnasium"]
    id: str

    def make(self, render_mode: str | None = None) -> gymnasium.Env:
        """A new instance."""
        return gymnasium.make(self.id, render_mode=render_mode)

    @cached_property
    def actions(self) -> ActionSpec:
        """The action space."""
        space = self._template.action_space
        boxes = _boxes(space)
        if boxes is None:
            raise SettingsError(
                f"{self.id}: expected the action space Tuple(Discrete(K), Tuple(Box, ...)) with K "
                f"boxes, received {space}; wrap the environment"
            )
        return ActionSpec(
            tuple(
                Action(f"action_{index}", *(tuple(map(float, ends)) for ends in self._ends(box)))
                for index, box in enumerate(boxes)
            )
        )

    @property
    def observation_low(self) -> np.ndarray:
        """[S] lower bounds."""
        return self._observation_ends[0]

    @property
    def observation_high(self) -> np.ndarray:
        """[S] upper bounds."""
        return self._observation_ends[1]

    @cached_property
    def max_episode_steps(self) -> int | None:
        """The time limit in actions, None if the environment has none."""
        return self._template.spec.max_episode_steps if self._template.spec else None

    @cached_property
    def _template(self) -> gymnasium.Env:
        return self.make()

    @cached_property
    def _observation_ends(self) -> tuple[np.ndarray, np.ndarray]:
        space = self._template.observation_space
        if not (isinstance(space, spaces.Box) and len(space.shape) == 1):
            raise SettingsError(
                f"{self.id}: expected an observation space Box of one dimension, received {space}; "
                "wrap the environment, for example in FlattenObservation"
            )
        return self._ends(space)

    def _ends(self, box: spaces.Box) -> tuple[np.ndarray, np.ndarray]:
        if not (np.isfinite(box.low).all() and np.isfinite(box.high).all()):
            raise SettingsError(
                f"{self.id}: expected finite bounds, received {box}; wrap the environment, for "
                "example in RescaleAction or RescaleObservation"
            )
        return box.low.astype(np.float32), box.high.astype(np.float32)


def _boxes(space: gymnasium.Space) -> list[spaces.Box] | None:
    """The parameters' boxes of a parameterised action space, None if it is none."""
    if not isinstance(space, spaces.Tuple) or len(space) != 2:
        return None
    index, parameters = space
    if not isinstance(index, spaces.Discrete) or not isinstance(parameters, spaces.Tuple):
        return None
    boxes = [box for box in parameters if isinstance(box, spaces.Box)]
    return boxes if len(boxes) == len(parameters) == index.n else None

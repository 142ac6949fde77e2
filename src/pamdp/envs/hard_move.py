"""Hard Move: push a point mass to a target with one of the 2^n subsets of n actuators.

From the paper of HyAR (Li et al. 2022, arXiv 2109.05490).
"""

from __future__ import annotations

from functools import cache
from typing import ClassVar, Literal, get_args

import numpy as np

from pamdp.base.environment import Outcome
from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec
from pamdp.envs.point_mass import (
    BONUS,
    FORCE,
    NEAR_SQUARED,
    Body,
    PointMass,
    moved,
    squared_distance,
)

Actuators = Literal[4, 6, 8, 10]


class HardMove(PointMass):
    """Hard Move v0, as published.

    An action is named after its subset, a binary digit for each actuator; these are its features,
    too, 1 for an actuator that is on and -1 for one that is off. Its parameter scales, and may turn
    round, the force of that subset.

    Attributes:
      actuators: n, spread evenly over the circle; there are 2^n actions.
    """

    kind: Literal["hard_move"]
    version: Literal["v0"] = "v0"
    actuators: Actuators = 4

    time_limit: ClassVar[int] = 30

    @property
    def title(self) -> str:
        """`HardMove` and the number of actuators."""
        return f"HardMove{self.actuators}"

    @classmethod
    def variants(cls) -> tuple[HardMove, ...]:
        """One for each number of actuators."""
        return tuple(cls(kind="hard_move", actuators=number) for number in get_args(Actuators))

    @property
    def actions(self) -> ActionSpec:
        """2^n actions with one parameter each."""
        return _actions(self.actuators)

    def transition(
        self, state: Body, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        """Minus the squared distance, and 20 more within 0.2, which ends the episode."""
        del key  # nothing is random
        dtype = state.position.dtype
        scale = FORCE * tf.clip_by_value(tf.cast(parameters[:, :1], dtype), -1, 1)
        body = moved(state, scale * tf.gather(tf.constant(motions(self.actuators), dtype), action))
        squared = squared_distance(body)
        arrived = squared <= NEAR_SQUARED
        reward = tf.where(arrived, BONUS - squared, -squared)
        return Outcome(body, reward, arrived, arrived)


@cache
def motions(actuators: int) -> np.ndarray:
    """[2^n, 2] the direction of each subset's force; the longest is of length 1."""
    angles = 2 * np.pi * np.arange(actuators) / actuators
    directions = np.round(np.stack([np.cos(angles), np.sin(angles)], axis=-1), 3)
    digits = [[int(digit) for digit in subset] for subset in _subsets(actuators)]
    sums = np.array(digits) @ directions
    return sums / np.linalg.norm(sums, axis=-1).max()


@cache
def _actions(actuators: int) -> ActionSpec:
    return ActionSpec(
        tuple(
            Action(name, (-1.0,), (1.0,), features=tuple(2.0 * int(digit) - 1 for digit in name))
            for name in _subsets(actuators)
        )
    )


def _subsets(actuators: int) -> list[str]:
    """The binary digits of each action, those of the first actuator in front."""
    return [f"{action:0{actuators}b}" for action in range(2**actuators)]

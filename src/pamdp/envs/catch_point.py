"""Catch Point: steer to a target and catch it, in a limited number of tries (Fan et al. 2019)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, NamedTuple

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

CATCH = 1
MAX_TRIES = 10  # one more may fail; the action after it ends the episode


class State(NamedTuple):
    """The body, its target, and [B] int32 how many catches have failed."""

    body: Body
    tries: tf.Tensor


class CatchPoint(PointMass):
    """Catch Point v0, as published.

    `move` pushes with the full force at an angle of 180 degrees times its parameter, measured from
    the direction of y towards that of x. `catch` does not push, and its parameter has no effect.
    """

    kind: Literal["catch_point"]
    version: Literal["v0"] = "v0"

    actions: ClassVar[ActionSpec] = ActionSpec(
        (Action("move", (-1.0,), (1.0,)), Action("catch", (-1.0,), (1.0,)))
    )
    time_limit: ClassVar[int] = 25

    def initial(self, key: tf.Tensor, batch: int) -> State:
        """The point mass's, with no catch failed."""
        return State(super().initial(key, batch), tf.zeros([batch], tf.int32))

    def observation(self, state: State) -> tf.Tensor:
        """[B, 4], the point mass's: nothing in it tells the tries."""
        return super().observation(state.body)

    def transition(
        self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        """Minus the squared distance, and 20 more for the catch within 0.2 that ends the episode.

        After 11 catches that failed, the next action ends the episode with a reward of 0.
        """
        del key  # nothing is random
        catching = action == CATCH
        given = tf.cast(parameters[:, 0], state.body.position.dtype)
        angle = math.pi * tf.clip_by_value(given, -1, 1)
        push = FORCE * tf.stack([tf.sin(angle), tf.cos(angle)], axis=-1)
        body = moved(state.body, tf.where(catching[:, None], tf.zeros_like(push), push))
        squared = squared_distance(body)
        allowed = state.tries <= MAX_TRIES
        caught = allowed & catching & (squared <= NEAR_SQUARED)
        reward = tf.where(caught, BONUS - squared, tf.where(allowed, -squared, 0))
        tries = state.tries + tf.cast(allowed & catching & ~caught, tf.int32)
        return Outcome(State(body, tries), reward, caught | (reward == 0), caught)

    def picture(self, state: State, caption: str = "") -> np.ndarray:
        """The point mass's, with the number of catches that failed."""
        failed = f"{int(state.tries[0])} missed"
        return super().picture(state.body, f"{caption}, {failed}" if caption else failed)

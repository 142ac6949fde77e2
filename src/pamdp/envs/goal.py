"""Robot Soccer Goal: get the ball past the keeper into the goal (Masson et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from pamdp.base import seeding
from pamdp.base.component import NonNegative
from pamdp.base.environment import Outcome, Path, Versioned, where
from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec
from pamdp.envs import pitch, soccer
from pamdp.envs.soccer import BALL, HALF_GOAL, HALF_WIDTH, KEEPER, LENGTH, State

KICK_TO = 0
BONUS = 50.0
BEHIND_GOAL = 20.4  # x that shots aim at
# No action is known to take longer than 509 ticks, the longest of 4 million random ones. One that
# did would end here without a reward, and the next would go on from there.
MAX_TICKS = 1000
PI = math.pi
LOW = (0, -15, -1, -1, -PI, 0, -15, -1, -1, -PI, 0, -15, -3, -3, -1, -1, -HALF_GOAL)
HIGH = (20, 15, 1, 1, PI, 20, 15, 1, 1, PI, 20, 15, 3, 3, 1, 1)


class Progress(NamedTuple):
    """An action under way in each copy."""

    state: State
    running: tf.Tensor  # [B] bool
    terminated: tf.Tensor  # [B] bool


class Goal(Versioned):
    """Robot Soccer Goal; an episode succeeds with the ball in the net.

    `kick_to` has the player bring the ball to a place: it ends with the ball at the player's feet
    and nearly at rest. The two shots aim at a place in the goal and last until the episode ends.
    They do the same; two names are there for two parameters to be learned.

    v0 is as published: `kick_to` aims at (x, x) and ignores y, the 100th action ends the task
    without being carried out, beyond the goal line the distance below the goal is 7.01 - y, and the
    keeper's projection is bounded by -7.01 and 14.02. In v1 `kick_to` aims at (x, y), 100 actions
    are a time limit, and distance and projection are symmetric.

    Attributes:
      noise: factor on every noise draw of a tick; 1 is the published environment, with 0 only the
        kickoff is random.
    """

    kind: Literal["goal"]
    version: Literal["v0", "v1"] = "v0"
    noise: NonNegative = 1.0

    actions: ClassVar[ActionSpec] = ActionSpec(
        (
            Action("kick_to", (0.0, -HALF_WIDTH), (2 * LENGTH, HALF_WIDTH)),
            Action("shoot_left", (-HALF_GOAL,), (HALF_GOAL,)),
            Action("shoot_right", (-HALF_GOAL,), (HALF_GOAL,)),
        )
    )
    observation_low: ClassVar[np.ndarray] = np.array(LOW, np.float32)
    time_limit: ClassVar[int] = 100

    @property
    def observation_high(self) -> np.ndarray:
        """[17] upper bounds."""
        return np.array([*HIGH, self._upper], np.float32)

    def initial(self, key: tf.Tensor, batch: int) -> State:
        """The player with the ball anywhere on the line x = 0, the keeper in the way."""
        return soccer.kickoff(key, batch)

    def observation(self, state: State) -> tf.Tensor:
        """[B, 17]: the bodies, and what the keeper covers.

        Position, velocity and orientation of the player, the same of the keeper, position and
        velocity of the ball; then the unit vector from keeper to ball, and where the line through
        both meets the goal line.

        The simulator's values may leave the published bounds. A player that turns through pi keeps
        counting: its angle is brought back into [-pi, pi]. Everything else is clipped, which
        concerns the ball of an episode that is over, and otherwise few players off the field.
        """
        way = state.position[:, BALL] - state.position[:, KEEPER]
        unit = tf.math.divide_no_nan(way, soccer.norm(way)[:, None])
        angles = soccer.normalised(state.orientation)
        features = tf.concat(
            [
                soccer.features(state._replace(orientation=angles)),
                unit,
                self._projection(state)[:, None],
            ],
            axis=-1,
        )
        low, high = (
            tf.constant(bounds, features.dtype)
            for bounds in (self.observation_low, self.observation_high)
        )
        return tf.clip_by_value(features, low, high)

    def transition(
        self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        """Ticks until the action is over.

        The reward is 50 for a goal, minus the ball's distance to the goal if the episode ends in
        another way (the keeper has the ball, it is off the field, v0's last action), else 0.
        """
        tick, begin = self._begin(state, action, parameters, key)
        _, end = tf.while_loop(
            lambda number, now: tf.reduce_any(now.running) & (number < MAX_TICKS),
            lambda number, now: (number + 1, tick(number, now)),
            (tf.constant(0), begin),
        )
        scored = soccer.scored(end.state)
        missed = tf.where(end.terminated, -self._distance(end.state), 0)
        return Outcome(
            end.state,
            tf.where(scored, tf.constant(BONUS, missed.dtype), missed),
            end.terminated,
            scored,
        )

    def path(self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor) -> Path:
        """The state after each tick."""
        tick, begin = self._begin(state, action, parameters, key)
        states = tf.scan(lambda now, number: tick(number, now), tf.range(MAX_TICKS), begin).state
        return Path(states, tf.maximum(1, tf.reduce_max(states.ticks)))

    def picture(self, state: State, caption: str = "") -> np.ndarray:
        """The half field with the goal on top; see `pitch.draw`."""
        return pitch.draw(state, caption)

    def _begin(
        self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> tuple[Callable[[tf.Tensor, Progress], Progress], Progress]:
        """One tick as a function of its number and of progress, and the progress before it."""
        dtype, batch = state.position.dtype, state.ticks.shape[0]
        target = self._target(action, tf.cast(parameters, dtype))
        kick_to = action == KICK_TO

        def tick(number: tf.Tensor, now: Progress) -> Progress:
            # Drawn tick by tick, as nearly all actions are over after a tenth of MAX_TICKS: numbers
            # for all of these would take several times longer than the action.
            draws = 2 * seeding.uniform(seeding.fold(key, number), [batch, soccer.DRAWS]) - 1
            moved = soccer.tick(now.state, target, tf.cast(self.noise * draws, dtype))
            new = where(now.running, moved, now.state)
            ended, settled = soccer.over(new), kick_to & soccer.settled(new)
            return Progress(
                new,
                running=now.running & ~ended & ~settled,
                terminated=now.terminated | (now.running & ended),
            )

        state = state._replace(ticks=tf.zeros_like(state.ticks), actions=state.actions + 1)
        late = (state.actions >= self.time_limit) & (self.version == "v0")
        return tick, Progress(state, running=~late, terminated=late)

    def _target(self, action: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """[B, 2] where the player wants the ball."""
        x = tf.clip_by_value(parameters[:, 0], 0, 2 * LENGTH)
        y = tf.clip_by_value(parameters[:, 1], -HALF_WIDTH, HALF_WIDTH)
        kick = tf.stack([x, x if self.version == "v0" else y], axis=-1)
        shot = tf.stack([BEHIND_GOAL + tf.zeros_like(x), self._shot(action, parameters[:, 0])], -1)
        return tf.where((action == KICK_TO)[:, None], kick, shot)

    def _shot(self, action: tf.Tensor, parameter: tf.Tensor) -> tf.Tensor:
        """[B] the y that a shot aims at."""
        del action  # both shots are the same
        return tf.clip_by_value(parameter, -HALF_GOAL, HALF_GOAL)

    def _distance(self, state: State) -> tf.Tensor:
        """[B] from the ball to the goal."""
        x, y = tf.unstack(state.position[:, BALL], axis=-1)
        distance = tf.math.sqrt(
            tf.square(tf.maximum(LENGTH - x, 0)) + tf.square(tf.maximum(tf.abs(y) - HALF_GOAL, 0))
        )
        below = (x >= LENGTH) & (y < -HALF_GOAL) & (self.version == "v0")
        return tf.where(below, HALF_GOAL - y, distance)

    def _projection(self, state: State) -> tf.Tensor:
        """[B] y where the line from the keeper through the ball meets the goal line."""
        x, y = tf.unstack(state.position[:, KEEPER], axis=-1)
        ball_x, ball_y = tf.unstack(state.position[:, BALL], axis=-1)
        meets = y + tf.math.divide_no_nan((LENGTH - x) * (ball_y - y), ball_x - x)
        upright = HALF_GOAL * tf.where(y < ball_y, -tf.ones_like(y), tf.ones_like(y))
        meets = tf.where(ball_x == x, upright, meets)
        return tf.clip_by_value(meets, -HALF_GOAL, self._upper)

    @property
    def _upper(self) -> float:
        """The upper bound of the projection."""
        return 2 * HALF_GOAL if self.version == "v0" else HALF_GOAL

"""The simulator of Robot Soccer Goal: one player, one keeper and a ball on half a field.

Lengths are the simulator's own, a tick is its unit of time. The goal is on the line x = 20.
Vectors are the last axis, bodies the one before it: player, keeper, ball.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pamdp.base import seeding
from pamdp.base.lazy import tf

LENGTH, HALF_WIDTH = 20.0, 15.0  # of the half field
HALF_GOAL, GOAL_DEPTH = 7.01, 2.44
AREA = (5.5, 9.16)  # the keeper's: depth, half of its width

PLAYER, KEEPER, BALL = range(3)
SIZES = (0.9, 0.9, 0.4)  # radii
RAND = (0.1, 0.1, 0.05)  # relative noise of an acceleration
MAX_SPEED = (1.0, 1.0, 2.7)  # of each component; the largest acceleration, too
DECAY = (0.4, 0.4, 0.94)
POWER_RATE, MAX_KICK = 0.006, 2.7
DASH, GUARD, SAVE = (power * POWER_RATE for power in (10.0, 8.0, 20.0))
ROLL = 1 / (1 - DECAY[BALL])  # a ball rolls this many times its speed
KICKABLE, CATCHABLE = 1.6, 2.0
CLOSE = math.pi / 8  # angles that count as the same
NEAR_MISS = 2.0  # the keeper takes a ball for a shot that passes a post by no more than this
REST = 0.1  # the speed of a ball that a kick-to has brought where it should be
DRAWS = 6  # random numbers of a tick


class State(NamedTuple):
    """A match. Angles are in radians; that of the player may leave [-pi, pi], as published."""

    position: tf.Tensor  # [B, 3, 2]
    velocity: tf.Tensor  # [B, 3, 2]
    orientation: tf.Tensor  # [B, 2] of player and keeper
    ticks: tf.Tensor  # [B] int32, of the last action
    actions: tf.Tensor  # [B] int32, since the episode began


def kickoff(key: tf.Tensor, batch: int) -> State:
    """The player anywhere on the line x = 0, the ball at its feet, the keeper in its way."""
    zero = tf.zeros([batch])
    y = (2 * seeding.uniform(key, [batch]) - 1) * HALF_WIDTH
    angle = tf.atan2(-y, LENGTH)
    # Everything is on the line from the player to the centre of the goal. That puts the keeper
    # into its area in any case, but saying so has an effect: else compilers may join this product
    # with the differences taken of it, and round once or twice depending on the program around.
    ahead = AREA[0] / LENGTH
    keeper_y = tf.clip_by_value(ahead * y, -AREA[1], AREA[1])
    keeper = tf.stack([zero + (LENGTH - AREA[0]), keeper_y], axis=-1)
    player = tf.stack([zero, y], axis=-1)
    ball = player + KICKABLE * tf.stack([tf.cos(angle), tf.sin(angle)], axis=-1)
    none = tf.zeros([batch], tf.int32)
    return State(
        position=tf.stack([player, keeper, ball], axis=1),
        velocity=tf.zeros([batch, 3, 2]),
        orientation=tf.stack([angle, angle_of(ball - keeper)], axis=-1),
        ticks=none,
        actions=none,
    )


def tick(state: State, target: tf.Tensor, noise: tf.Tensor) -> State:
    """One tick.

    Args:
      state: before it.
      target: [B, 2] where the player wants the ball.
      noise: [B, DRAWS] in [-1, 1]: the player's (direction, x, y), then the keeper's.
    """
    state = _guarded(_played(state, target, noise[:, :3]), noise[:, 3:])
    decay = tf.constant(DECAY, state.velocity.dtype)[:, None]
    state = state._replace(
        position=state.position + state.velocity,
        velocity=state.velocity * decay,
        ticks=state.ticks + 1,
    )
    for pair in ((PLAYER, KEEPER), (PLAYER, BALL), (KEEPER, BALL)):
        state = _collided(state, *pair)
    return state


def features(state: State) -> tf.Tensor:
    """[B, 14]: position, velocity and orientation of player and keeper; those of the ball.

    The ball has no orientation.
    """
    columns = [
        column
        for body in range(3)
        for column in (
            state.position[:, body],
            state.velocity[:, body],
            state.orientation[:, body : body + 1],  # empty for the ball
        )
    ]
    return tf.concat(columns, axis=-1)


def kickable(state: State) -> tf.Tensor:
    """[B] bool: whether the player can kick the ball."""
    distance = norm(state.position[:, BALL] - state.position[:, PLAYER])
    return distance <= _reach(state)


def scored(state: State) -> tf.Tensor:
    """[B] bool: whether the ball is in the net."""
    x, y = tf.unstack(state.position[:, BALL], axis=-1)
    return (x >= LENGTH) & (x <= LENGTH + GOAL_DEPTH) & (tf.abs(y) <= HALF_GOAL)


def over(state: State) -> tf.Tensor:
    """[B] bool: whether the ball is in the net, with the keeper, or out of the half field."""
    x, y = tf.unstack(state.position[:, BALL], axis=-1)
    caught = norm(state.position[:, BALL] - state.position[:, KEEPER]) < CATCHABLE
    return scored(state) | caught | (x < 0) | (x > LENGTH) | (tf.abs(y) > HALF_WIDTH)


def settled(state: State) -> tf.Tensor:
    """[B] bool: whether the player has the ball, nearly at rest."""
    return kickable(state) & (norm(state.velocity[:, BALL]) <= REST)


def _played(state: State, target: tf.Tensor, noise: tf.Tensor) -> State:
    """The player kicks the ball towards the target, or turns to it, or runs after it."""
    position, velocity = state.position, state.velocity
    player, ball, angle = position[:, PLAYER], position[:, BALL], state.orientation[:, PLAYER]
    distance = norm(ball - player)
    turn = normalised(angle_of(ball - player) - angle)
    kicks, faces = distance <= _reach(state), tf.abs(turn) <= CLOSE
    quality = 1 - 0.25 / math.pi * tf.abs(turn) - 0.25 / KICKABLE * distance
    # With this velocity more, the ball would roll from the player to the target.
    wanted = (target - player) / ROLL - velocity[:, BALL]
    kick = tf.minimum(norm(wanted), MAX_KICK * quality)
    turned = angle + turn / (1 + 5 * norm(velocity[:, PLAYER]))
    who = tf.stack([faces & ~kicks, tf.zeros_like(kicks), kicks], axis=-1)
    push = tf.where(kicks, kick, tf.constant(DASH, kick.dtype))
    along = tf.where(kicks, angle_of(wanted), angle)
    facing = tf.where(kicks | faces, angle, turned)
    return state._replace(
        velocity=_accelerated(velocity, who, push, along, noise),
        orientation=tf.stack([facing, state.orientation[:, KEEPER]], axis=-1),
    )


def _guarded(state: State, noise: tf.Tensor) -> State:
    """The keeper runs to where a shot at the goal passes it nearest, or to where the ball stops."""
    velocity = state.velocity
    keeper, ball = state.position[:, KEEPER], state.position[:, BALL]
    (vx, vy), (x, y) = tf.unstack(velocity[:, BALL], axis=-1), tf.unstack(ball, axis=-1)
    gradient = tf.math.divide_no_nan(vy, vx)
    passes = tf.abs(y + gradient * (LENGTH - x)) <= HALF_GOAL + NEAR_MISS
    shot = (x + ROLL * vx > LENGTH) & passes & (gradient != 0)
    way = keeper - ball
    nearest = tf.math.divide_no_nan(
        tf.reduce_sum(way * velocity[:, BALL], axis=-1), vx * vx + vy * vy
    )
    rolls = tf.where(shot, nearest, tf.constant(ROLL, x.dtype))
    angle = angle_of(rolls[:, None] * velocity[:, BALL] - way)
    push = tf.where(shot, tf.constant(SAVE, x.dtype), tf.constant(GUARD, x.dtype))
    who = tf.constant([[body == KEEPER for body in range(3)]])
    return state._replace(
        velocity=_accelerated(velocity, who, push, angle, noise),
        orientation=tf.stack([state.orientation[:, PLAYER], angle], axis=-1),
    )


def _accelerated(
    velocity: tf.Tensor, who: tf.Tensor, push: tf.Tensor, angle: tf.Tensor, noise: tf.Tensor
) -> tf.Tensor:
    """Velocities after a push of some bodies.

    Args:
      velocity: [B, 3, 2] before.
      who: [B, 3] bool, the bodies that are pushed.
      push: [B] the acceleration.
      angle: [B] its direction. The noise changes it by a share of itself, as published.
      noise: [B, 3] in [-1, 1] for direction, x and y; its effect on x and y grows with the speed.
    """
    dtype = velocity.dtype
    rand, limit = tf.constant(RAND, dtype), tf.constant(MAX_SPEED, dtype)[:, None]
    angles = angle[:, None] * (1 + rand * noise[:, :1])
    # Cosine and sine in one: the time of a tick goes with the number of operations.
    direction = tf.cos(angles[..., None] - tf.constant([0, math.pi / 2], dtype))
    shaken = (rand * norm(velocity))[..., None] * noise[:, None, 1:]
    change = tf.clip_by_value(push[:, None, None] * direction + shaken, -limit, limit)
    faster = tf.clip_by_value(velocity + change, -limit, limit)
    return tf.where(who[..., None], faster, velocity)


def _collided(state: State, one: int, other: int) -> State:
    """Two bodies that overlap are moved apart and turned back."""
    dtype, size = state.position.dtype, SIZES[one] + SIZES[other]
    between = state.position[:, other] - state.position[:, one]
    distance = norm(between)
    # Each moves by half of the overlap: this share of the way between them.
    share = tf.maximum((tf.math.divide_no_nan(tf.constant(size, dtype), distance) - 1) / 2, 0)
    sides = [[(body == other) - (body == one)] for body in range(3)]  # -1, 0 or 1
    hit = (distance < size)[:, None, None] & (tf.constant(sides) != 0)
    moved = state.position + tf.constant(sides, dtype) * (share[:, None] * between)[:, None]
    return state._replace(position=moved, velocity=tf.where(hit, -state.velocity, state.velocity))


def _reach(state: State) -> float:
    """The kickable distance, and what rounding may add to it at the kickoff."""
    return KICKABLE + 64 * float(np.finfo(state.position.dtype.as_numpy_dtype).eps)


def norm(vector: tf.Tensor) -> tf.Tensor:
    """The length of vectors [..., 2]."""
    return tf.sqrt(tf.reduce_sum(vector * vector, axis=-1))


def angle_of(vector: tf.Tensor) -> tf.Tensor:
    """The direction of vectors [..., 2]."""
    return tf.atan2(vector[..., 1], vector[..., 0])


def normalised(angle: tf.Tensor) -> tf.Tensor:
    """The same angle in [-pi, pi]."""
    return angle - 2 * math.pi * tf.round(angle / (2 * math.pi))

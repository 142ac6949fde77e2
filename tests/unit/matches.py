"""States of Robot Soccer Goal for tests."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from pamdp.envs import soccer
from pamdp.envs.soccer import State

GOLDEN = Path(__file__).parents[1] / "golden" / "goal.json"


def recorded(values: list[float], dtype: tf.DType) -> State:
    """The state with these 14 variables."""
    row = tf.constant([values], dtype)
    positions, velocities = (
        tf.stack([row[:, i : i + 2] for i in starts], axis=1) for starts in ((0, 5, 10), (2, 7, 12))
    )
    none = tf.zeros([1], tf.int32)
    return State(positions, velocities, tf.gather(row, [4, 9], axis=1), none, none)


def at(**given: Any) -> State:
    """A match at rest, bodies apart, but for what is given."""
    values = {
        "player": (0.0, 0.0),
        "keeper": (14.5, 0.0),
        "ball": (1.5, 0.0),
        "player_velocity": (0.0, 0.0),
        "keeper_velocity": (0.0, 0.0),
        "ball_velocity": (0.0, 0.0),
        "orientation": (0.0, 3.0),
        "actions": 0,
    } | given
    return State(
        position=tf.constant([[values[name] for name in ("player", "keeper", "ball")]]),
        velocity=tf.constant(
            [[values[f"{name}_velocity"] for name in ("player", "keeper", "ball")]]
        ),
        orientation=tf.constant([values["orientation"]]),
        ticks=tf.constant([0]),
        actions=tf.constant([values["actions"]]),
    )


def ticked(
    state: State, target: tuple[float, float] = (20.4, 0.0), noise: tuple[float, ...] = (0.0,) * 6
) -> State:
    return soccer.tick(state, tf.constant([target]), tf.constant([noise]))

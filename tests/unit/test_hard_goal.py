"""Hard Goal's bands, on numbers worked by hand; all else is Goal's and tested there."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pamdp.base.environment import Environment
from pamdp.envs.goal import Goal
from pamdp.envs.hard_goal import HardGoal
from pamdp.envs.soccer import BALL, State

QUIET: dict[str, Environment] = {
    version: HardGoal(kind="hard_goal", version=version, noise=0.0) for version in ("v0", "v1")
}
KICK_TO = 0


def start(batch: int) -> State:
    """The player at (0, 0) looks at the ball, the keeper is out of the way."""
    none = tf.zeros([batch], tf.int32)
    position = tf.tile([[[0.0, 0.0], [14.5, 9.0], [1.5, 0.0]]], [batch, 1, 1])
    return State(position, tf.zeros([batch, 3, 2]), tf.zeros([batch, 2]), none, none)


@cache
def program(environment: Environment, name: str) -> Any:
    function = getattr(environment, name)
    return tf.function(
        lambda *arguments: function(*arguments, tf.constant([0, 0])),
        jit_compile=True,
        autograph=False,
    )


def run(environment: Environment, name: str, actions: list[int], parameters: list[list]) -> Any:
    return program(environment, name)(
        start(len(actions)), tf.constant(actions), tf.constant(parameters, tf.float32)
    )


def aims(version: str, actions: list[int], parameters: list[list]) -> np.ndarray:
    """[B, 2] where the ball is kicked to: 0.06 of the way, then 6 % less."""
    path = run(QUIET[version], "path", actions, parameters)
    return path.states.velocity[0, :, BALL].numpy() / (0.94 * 0.06)


def test_actions() -> None:
    spec = HardGoal.actions
    bands = [f"shoot_{side}_{band}" for side in ("left", "right") for band in range(1, 6)]
    assert [action.name for action in spec.actions] == ["kick_to", *bands]
    assert spec.sizes == (2, *[1] * 10)
    np.testing.assert_array_equal(spec.low, [0, -15, *[-1] * 10])
    np.testing.assert_array_equal(spec.high, [40, 15, *[1] * 10])


def test_names() -> None:
    assert [v.gymnasium_id for v in HardGoal.variants()] == [
        "pamdp/HardGoal-v0",
        "pamdp/HardGoal-v1",
    ]
    assert [v.gymnasium_id for v in Goal.variants()] == ["pamdp/Goal-v0", "pamdp/Goal-v1"]


@pytest.mark.parametrize(
    ("version", "third"), [("v0", [0.2, 0.2, 0.2, 0.2]), ("v1", [0.2, 0.0, -0.2, -0.2])]
)
def test_bands(version: str, third: list[float]) -> None:
    # A parameter of -1 means the upper end, 1 the lower one; 3 is clipped to 1.
    shares = [
        [-0.6, -0.8, -1.0, -1.0],
        [-0.2, -0.4, -0.6, -0.6],
        third,
        [0.6, 0.4, 0.2, 0.2],
        [1.0, 0.8, 0.6, 0.6],
    ]
    for side in range(2):
        actions = [1 + 5 * side + band for band in range(5) for _ in range(4)]
        parameters = [[u, 0.0] for _ in range(5) for u in (-1.0, 0.0, 1.0, 3.0)]
        expected = np.stack([np.full(20, 20.4), 7.01 * np.ravel(shares)], axis=1)
        np.testing.assert_allclose(aims(version, actions, parameters), expected, atol=1e-5)


def test_kick_to() -> None:
    for version, target in (("v0", [6, 6]), ("v1", [6, 9])):
        found = aims(version, [KICK_TO] * 20, [[6.0, 9.0]] * 20)  # as many as the bands' test has
        np.testing.assert_allclose(found, [target] * 20, rtol=1e-5)


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_shots_are_those_of_goal(version: str) -> None:
    # The upper end of the last band is the post, the lower end of the first the other one.
    easy = Goal(kind="goal", version=version, noise=0.0)
    ours = run(QUIET[version], "transition", [10, 5, 1, 0], [[-1, 0], [-1, 0], [1, 0], [5, 3]])
    its = run(easy, "transition", [2, 1, 1, 0], [[7.01, 0], [7.01, 0], [-7.01, 0], [5, 3]])
    for one, other in zip(tf.nest.flatten(ours), tf.nest.flatten(its), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)

"""What is observed of Goal, and its picture, on numbers worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from pamdp.envs import pitch
from pamdp.envs.goal import Goal
from pamdp.envs.soccer import State
from tests.unit.matches import at, recorded

VERSIONS = {v: Goal(kind="goal", version=v, noise=0.0) for v in ("v0", "v1")}


def observed(state: State, version: str = "v0") -> np.ndarray:
    return VERSIONS[version].observation(state)[0].numpy()


def test_observation() -> None:
    state = recorded([float(n) / 10 for n in range(14)], tf.float32)
    # From the keeper at (0.5, 0.6) to the ball at (1, 1.1): the diagonal, which meets 20 in 20.1.
    expected = [n / 10 for n in range(14)] + [0.5**0.5, 0.5**0.5]
    np.testing.assert_allclose(observed(state), [*expected, 14.02], rtol=1e-5)
    np.testing.assert_allclose(observed(state, "v1"), [*expected, 7.01], rtol=1e-5)


@pytest.mark.parametrize(
    ("keeper", "ball", "v0", "v1"),
    [
        ((15.0, 0.0), (16.0, 1.0), 5.0, 5.0),
        ((15.0, 0.0), (14.0, 1.0), -5.0, -5.0),
        ((15.0, 0.0), (16.0, 2.0), 10.0, 7.01),
        ((15.0, 0.0), (16.0, -2.0), -7.01, -7.01),
        ((15.0, 0.0), (16.0, 9.0), 14.02, 7.01),
        ((15.0, 0.0), (15.0, 3.0), -7.01, -7.01),
        ((15.0, 0.0), (15.0, -3.0), 7.01, 7.01),
        ((15.0, 1.0), (15.0, 1.0), 7.01, 7.01),
    ],
)
def test_projection(keeper: tuple, ball: tuple, v0: float, v1: float) -> None:
    state = at(keeper=keeper, ball=ball)
    found = [observed(state, version) for version in ("v0", "v1")]
    np.testing.assert_allclose([found[0][16], found[1][16]], [v0, v1], rtol=1e-6)
    assert np.isfinite(found).all()


def test_observation_within_its_bounds() -> None:
    state = at(
        player=(-1.0, 16.0), ball=(22.0, -17.0), ball_velocity=(0, -2.7), orientation=(4.0, 3.0)
    )
    found = observed(state)
    np.testing.assert_array_equal(found[[0, 1, 10, 11]], [0, 15, 20, -15])
    np.testing.assert_allclose(found[[4, 9, 13]], [4 - 2 * np.pi, 3, -2.7], rtol=1e-6)
    for version, upper in (("v0", 14.02), ("v1", 7.01)):
        low, high = VERSIONS[version].observation_low, VERSIONS[version].observation_high
        pi = np.float32(np.pi)
        body = [20, 15, 1, 1, pi]
        np.testing.assert_allclose(high, [*body, *body, 20, 15, 3, 3, 1, 1, upper])
        body = [0, -15, -1, -1, -pi]
        np.testing.assert_allclose(low, [*body, *body, 0, -15, -3, -3, -1, -1, -7.01])


def test_picture() -> None:
    state = at(ball=(3.0, 12.0), player=(5.0, -6.0), keeper=(15.0, 2.0))
    picture = VERSIONS["v0"].picture(state)
    left, _, right, top = pitch.VIEW
    scale = picture.shape[1] / (right - left)

    def pixel(x: float, y: float) -> tuple:
        return tuple(picture[round((top - x) * scale), round((-y - left) * scale)])

    # Bodies are where they are, and arrows point forwards: the player's upwards, along x.
    assert pixel(3.0, 12.0) == pitch.WHITE
    assert pixel(5.0 - 0.6, -6.0) == pitch.BLUE
    assert pixel(5.0 + 0.4, -6.0) == pitch.WHITE
    assert pixel(15.0, 2.6) == pitch.RED
    assert pixel(15.6, 2.0) == pitch.RED

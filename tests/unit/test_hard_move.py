"""Hard Move on numbers worked by hand, and against a second implementation in NumPy."""

from collections.abc import Callable
from functools import cache

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from pamdp.base.environment import Outcome
from pamdp.envs.hard_move import HardMove, motions
from pamdp.envs.point_mass import Body

ROOT2 = 2**0.5
ACTUATORS = (4, 6, 8, 10)
Point = tuple[float, float]


@cache
def task(actuators: int = 4) -> HardMove:
    return HardMove(kind="hard_move", actuators=actuators)


@cache
def transition(actuators: int) -> Callable[..., Outcome]:
    """Compiled once for each dtype and batch size; nothing is random, so any key will do."""
    return tf.function(
        lambda state, action, parameters: task(actuators).transition(
            state, action, parameters, tf.constant([0, 0])
        ),
        jit_compile=True,
        autograph=False,
    )


def at(position: Point, target: Point, velocity: Point = (0.0, 0.0)) -> Body:
    return Body(*(tf.constant([point]) for point in (position, velocity, target)))


def act(state: Body, subset: str, parameter: float) -> Outcome:
    action = tf.constant([int(subset, 2)])
    return transition(len(subset))(state, action, tf.constant([[parameter]]))


def observed(state: Body) -> np.ndarray:
    return task().observation(state)[0].numpy()


def ends(outcome: Outcome) -> tuple[bool, bool]:
    """Terminated, success."""
    return bool(outcome.terminated.numpy()[0]), bool(outcome.success.numpy()[0])


# -- Actions ---------------------------------------------------------------------------------------


def test_motions_of_four_actuators() -> None:
    # East, north, west and south; two that are neighbours make the longest, of length sqrt(2).
    expected = {
        "0000": (0, 0),
        "0001": (0, -1),
        "0010": (-1, 0),
        "0011": (-1, -1),
        "0100": (0, 1),
        "0101": (0, 0),
        "0110": (-1, 1),
        "0111": (-1, 0),
        "1000": (1, 0),
        "1001": (1, -1),
        "1010": (0, 0),
        "1011": (0, -1),
        "1100": (1, 1),
        "1101": (1, 0),
        "1110": (0, 1),
        "1111": (0, 0),
    }
    assert [action.name for action in task().actions.actions] == list(expected)
    np.testing.assert_allclose(motions(4), np.array(list(expected.values())) / ROOT2, atol=1e-15)


def test_motions_are_made_of_rounded_directions() -> None:
    # sin 60 degrees is 0.866 here. The longest sum is that of the first actuator and of its two
    # neighbours, (1 + 0.5 + 0.5, 0); the one of (1, 0), (0.5, 0.866) and (-0.5, 0.866) is shorter.
    for subset, expected in {
        "100000": (1, 0),
        "010000": (0.5, 0.866),
        "001000": (-0.5, 0.866),
        "000010": (-0.5, -0.866),
        "110001": (2, 0),
        "111000": (1, 1.732),
    }.items():
        np.testing.assert_allclose(motions(6)[int(subset, 2)], np.array(expected) / 2, atol=1e-15)


@pytest.mark.parametrize("actuators", ACTUATORS)
def test_properties_of_motions(actuators: int) -> None:
    table = motions(actuators)
    assert table.shape == (2**actuators, 2)
    lengths = np.linalg.norm(table, axis=-1)
    np.testing.assert_allclose(lengths.max(), 1, rtol=1e-15)
    # All actuators together do not move the body, so that a subset's complement does the opposite.
    np.testing.assert_allclose(table, -table[::-1], atol=1e-15)
    halves = np.roll(np.arange(actuators) < actuators // 2, 1)
    np.testing.assert_allclose(lengths[int("".join(map(str, 1 * halves)), 2)], 1, rtol=1e-3)


@pytest.mark.parametrize("actuators", ACTUATORS)
def test_actions(actuators: int) -> None:
    spec = task(actuators).actions
    assert spec.num_actions == spec.num_parameters == 2**actuators
    assert set(spec.sizes) == {1}
    assert spec.actions[5].name == "0" * (actuators - 3) + "101"
    assert (spec.low == -1).all()
    assert (spec.high == 1).all()
    assert task(actuators).actions is spec, "made once"


def test_each_number_of_actuators_is_an_environment_of_its_own() -> None:
    for actuators in ACTUATORS:
        environment = gymnasium.make(f"pamdp/HardMove{actuators}-v0").unwrapped.environment
        assert environment == task(actuators)
    assert len(HardMove.variants()) == len(ACTUATORS)
    with pytest.raises(ValueError, match="4, 6, 8 or 10"):
        HardMove(kind="hard_move", actuators=5)


# -- Dynamics by hand ------------------------------------------------------------------------------


def test_three_actions() -> None:
    # The force 2 (1, 1) / sqrt(2) gives v = 0.1 (sqrt(2), sqrt(2)) and p = 0.1 v.
    first = act(at((0.0, 0.0), (0.5, -0.5)), "1100", 1.0)
    np.testing.assert_allclose(
        observed(first.state),
        [0.1 * ROOT2, 0.1 * ROOT2, 0.5 - 0.01 * ROOT2, -0.5 - 0.01 * ROOT2],
        rtol=1e-6,
    )
    np.testing.assert_allclose(first.reward, [-0.5004], rtol=1e-6)
    # The force 2 * -0.5 * (-1, 0) / sqrt(2): v = (0.075 + 0.05, 0.075) sqrt(2), p += 0.1 v.
    second = act(first.state, "0111", -0.5)
    np.testing.assert_allclose(
        observed(second.state),
        [0.125 * ROOT2, 0.075 * ROOT2, 0.5 - 0.0225 * ROOT2, -0.5 - 0.0175 * ROOT2],
        rtol=1e-6,
    )
    np.testing.assert_allclose(second.reward, [-(0.501625 - 0.005 * ROOT2)], rtol=1e-6)
    # Opposite actuators: no force.
    third = act(second.state, "0101", 1.0)
    np.testing.assert_allclose(
        observed(third.state)[:2], [0.09375 * ROOT2, 0.05625 * ROOT2], rtol=1e-6
    )
    for outcome in (first, second, third):
        assert ends(outcome) == (False, False)


def test_parameters_are_clipped() -> None:
    state = at((0.0, 0.0), (0.5, -0.5))
    for given, clipped in ((3.0, 1.0), (-1.5, -1.0)):
        found, expected = (act(state, "1100", value).state for value in (given, clipped))
        np.testing.assert_array_equal(found.position, expected.position)


@pytest.mark.parametrize(
    ("target", "velocity", "arrived"),
    [
        ((0.199, 0.0), (0.0, 0.0), True),
        ((0.201, 0.0), (0.0, 0.0), False),
        ((0.225, 0.0), (0.4, 0.0), True),  # moves by 0.1 * 0.75 * 0.4 = 0.03 first
        ((0.175, 0.0), (-0.4, 0.0), False),
        ((0.15, 0.15), (0.0, 0.0), False),  # a circle and not a square
    ],
)
def test_reach(target: Point, velocity: Point, arrived: bool) -> None:
    outcome = act(at((0.0, 0.0), target, velocity), "0000", 1.0)
    distance = np.hypot(target[0] - 0.075 * velocity[0], target[1])
    np.testing.assert_allclose(outcome.reward, [20 * arrived - distance**2], rtol=1e-5)
    assert ends(outcome) == (arrived, arrived)


def test_a_reward_of_zero_is_no_end_but_arrival() -> None:
    outcome = act(at((0.3, 0.3), (0.3, 0.3)), "0000", 1.0)
    assert outcome.reward.numpy() == [20.0]
    assert ends(outcome) == (True, True)


def test_bounds_of_observations_hold_and_are_tight() -> None:
    state = at((1.0, 0.0), (-1.0, 0.0))
    for _ in range(task().time_limit):
        state = act(state, "110001", 1.0).state  # of length 1, along x
    speed, way = observed(state)[[0, 2]] / task().observation_high[[0, 2]]
    assert 0.999 < speed <= 1
    assert -1 <= way < -0.997
    np.testing.assert_array_equal(task().observation_low, -task().observation_high)


# -- A second implementation -----------------------------------------------------------------------


def reference_motions(actuators: int) -> np.ndarray:
    """The published table, one subset after another."""
    table = np.zeros((2**actuators, 2))
    for subset in range(2**actuators):
        for i in range(actuators):
            if subset >> (actuators - 1 - i) & 1:
                angle = 2 * np.pi * i / actuators
                table[subset] += [round(np.cos(angle), 3), round(np.sin(angle), 3)]
    return table / max(np.hypot(*motion) for motion in table)


@pytest.mark.parametrize("actuators", ACTUATORS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(tf.float64, 1e-13, id="float64"), pytest.param(tf.float32, 2e-6, id="float32")],
)
def test_random_episodes(actuators: int, dtype: tf.DType, tolerance: float) -> None:
    random, episodes, table = np.random.default_rng(1), 300, reference_motions(actuators)
    p = random.uniform(-1, 1, (episodes, 2))
    t = p + random.uniform(-0.6, 0.6, (episodes, 2))
    v, running = np.zeros((episodes, 2)), np.ones(episodes, bool)
    state = Body(*(tf.constant(leaf, dtype) for leaf in (p, v, t)))
    for _ in range(30):
        action = random.integers(2**actuators, size=episodes, dtype=np.int32)
        scale = random.uniform(-1, 1, (episodes, 1))
        state, *rest = transition(actuators)(state, tf.constant(action), tf.constant(scale, dtype))
        rewards, terminated, success = (leaf.numpy()[running] for leaf in rest)
        v = 0.75 * v + 0.1 * 2 * scale * table[action]
        p = p + 0.1 * v
        d2 = ((p - t) ** 2).sum(axis=-1)
        near = d2 <= 0.04
        found = np.column_stack([rewards, task(actuators).observation(state).numpy()[running]])
        expected = np.column_stack([np.where(near, 20 - d2, -d2), v, t - p])[running]
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_array_equal(terminated, near[running])
        np.testing.assert_array_equal(success, near[running])
        running &= ~near
    assert 10 < running.sum() < episodes - 10, "both endings are met with"


# -- Pictures --------------------------------------------------------------------------------------


def test_picture() -> None:
    picture = task().picture(at((-0.8, 0.8), (0.8, -0.8)))
    assert picture.shape == (480, 480, 3)
    # 150 pixels for each unit, the origin in the middle.
    assert tuple(picture[120, 120]) == (38, 92, 191)
    assert tuple(picture[360, 360]) == (60, 126, 52)
    assert tuple(picture[360, 360 + 29]) == (104, 171, 88), "the circle to be reached"
    assert tuple(picture[360, 360 + 32]) != (104, 171, 88)


def test_the_arrow_points_along_the_velocity() -> None:
    rest, moving = (
        task().picture(at((0.3, 0.3), (-0.9, -0.9), velocity)).astype(int)
        for velocity in ((0.0, 0.0), (0.0, 0.6))
    )
    rows, columns = np.nonzero((rest != moving).any(axis=-1))
    assert rows.max() < 195, "above the body"
    assert abs(columns.mean() - 285) < 1


def test_a_body_that_left_is_drawn_at_the_edge() -> None:
    far, farther = (task().picture(at((x, 0.2), (0.0, 0.0))) for x in (2.0, 2.5))
    np.testing.assert_array_equal(far, farther)
    rows, columns = np.nonzero((far == (38, 92, 191)).all(axis=-1))
    assert abs(rows.mean() - (480 / 2 - 0.2 * 150)) < 1
    assert columns.min() > 440

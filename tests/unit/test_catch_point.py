"""Catch Point on numbers worked by hand, and against a second implementation in NumPy."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from pamdp.base.environment import Outcome
from pamdp.envs.catch_point import CatchPoint, State
from pamdp.envs.point_mass import Body

MOVE, CATCH = 0, 1
TASK = CatchPoint(kind="catch_point")
Point = tuple[float, float]


@cache
def transition() -> Callable[..., Outcome]:
    """Compiled once for each dtype and batch size; nothing is random, so any key will do."""
    return tf.function(
        lambda state, action, parameters: TASK.transition(
            state, action, parameters, tf.constant([0, 0])
        ),
        jit_compile=True,
        autograph=False,
    )


def at(position: Point, target: Point, velocity: Point = (0.0, 0.0), tries: int = 0) -> State:
    body = Body(*(tf.constant([point]) for point in (position, velocity, target)))
    return State(body, tf.constant([tries]))


def act(state: State, action: int, parameter: float = 0.0) -> Outcome:
    return transition()(state, tf.constant([action]), tf.constant([[parameter]]))


def observed(state: State) -> np.ndarray:
    return TASK.observation(state)[0].numpy()


def ends(outcome: Outcome) -> tuple[bool, bool]:
    """Terminated, success."""
    return bool(outcome.terminated.numpy()[0]), bool(outcome.success.numpy()[0])


# -- By hand ---------------------------------------------------------------------------------------


def test_three_actions() -> None:
    # Half of 180 degrees from y towards x: the force (2, 0) gives v = (0.2, 0), p = (0.02, 0).
    first = act(at((0.0, 0.0), (1.0, 0.0)), MOVE, 0.5)
    np.testing.assert_allclose(observed(first.state), [0.2, 0, 0.98, 0], atol=1e-7)
    np.testing.assert_allclose(first.reward, [-(0.98**2)], rtol=1e-6)
    # The force (0, 2): v = (0.75 * 0.2, 0.2), p = (0.02 + 0.015, 0.02).
    second = act(first.state, MOVE, 0.0)
    np.testing.assert_allclose(observed(second.state), [0.15, 0.2, 0.965, -0.02], atol=1e-7)
    np.testing.assert_allclose(second.reward, [-0.931625], rtol=1e-6)
    # No force: v = 0.75 * (0.15, 0.2), p = (0.035 + 0.01125, 0.02 + 0.015); too far away.
    third = act(second.state, CATCH, 0.5)
    np.testing.assert_allclose(observed(third.state), [0.1125, 0.15, 0.95375, -0.035], atol=1e-7)
    np.testing.assert_allclose(third.reward, [-0.9108640625], rtol=1e-6)
    for outcome, tries in ((first, 0), (second, 0), (third, 1)):
        assert ends(outcome) == (False, False)
        assert outcome.state.tries.numpy() == [tries]


@pytest.mark.parametrize(
    ("parameter", "velocity"),
    [(-1.0, (0, -0.2)), (-0.5, (-0.2, 0)), (0.25, (0.1 * 2**0.5, 0.1 * 2**0.5)), (1.0, (0, -0.2))],
)
def test_direction_of_a_move(parameter: float, velocity: Point) -> None:
    outcome = act(at((0.0, 0.0), (1.0, 0.0)), MOVE, parameter)
    np.testing.assert_allclose(outcome.state.body.velocity, [velocity], atol=1e-7)


def test_parameters_are_clipped() -> None:
    state = at((0.0, 0.0), (1.0, 0.0))
    for given, clipped in ((1.4, 1.0), (-9.0, -1.0)):
        for found, expected in zip(
            tf.nest.flatten(act(state, MOVE, given)),
            tf.nest.flatten(act(state, MOVE, clipped)),
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)


def test_the_parameter_of_a_catch_has_no_effect() -> None:
    state = at((0.0, 0.0), (0.3, 0.0), velocity=(0.1, 0.2))
    one, other = (tf.nest.flatten(act(state, CATCH, parameter)) for parameter in (-0.7, 0.9))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_catching() -> None:
    outcome = act(at((0.4, -0.2), (0.5, -0.1)), CATCH)
    np.testing.assert_allclose(outcome.reward, [20 - 0.02], rtol=1e-6)
    assert ends(outcome) == (True, True)
    assert outcome.state.tries.numpy() == [0]


@pytest.mark.parametrize(
    ("target", "velocity", "caught"),
    [
        ((0.199, 0.0), (0.0, 0.0), True),
        ((0.201, 0.0), (0.0, 0.0), False),
        ((0.225, 0.0), (0.4, 0.0), True),  # moves by 0.1 * 0.75 * 0.4 = 0.03 first
        ((0.175, 0.0), (-0.4, 0.0), False),
        ((0.15, 0.15), (0.0, 0.0), False),  # a circle and not a square
    ],
)
def test_reach(target: Point, velocity: Point, caught: bool) -> None:
    outcome = act(at((0.0, 0.0), target, velocity), CATCH)
    assert ends(outcome) == (caught, caught)
    assert (outcome.reward.numpy() > 4) == [caught]
    assert outcome.state.tries.numpy() == [not caught]


def test_moving_does_not_catch() -> None:
    outcome = act(at((0.0, 0.0), (0.12, 0.0)), MOVE, 0.5)
    np.testing.assert_allclose(outcome.reward, [-0.01], rtol=1e-5)
    assert ends(outcome) == (False, False)


@pytest.mark.parametrize("last", [MOVE, CATCH])
def test_the_action_after_eleven_failed_catches_ends_the_episode(last: int) -> None:
    state = at((0.0, 0.0), (0.25, 0.0))
    for failed in range(1, 12):
        state, *rest = act(state, CATCH)
        np.testing.assert_allclose(rest[0], [-0.0625], rtol=1e-6)
        assert ends(Outcome(state, *rest)) == (False, False)
        assert state.tries.numpy() == [failed]
    nearer = state._replace(body=state.body._replace(position=tf.constant([[0.2, 0.0]])))
    outcome = act(nearer, last)
    assert outcome.reward.numpy() == [0.0]
    assert ends(outcome) == (True, False)
    assert outcome.state.tries.numpy() == [11]


def test_the_eleventh_try_may_catch() -> None:
    assert ends(act(at((0.0, 0.0), (0.1, 0.0), tries=10), CATCH)) == (True, True)


def test_a_reward_of_zero_ends_the_episode_even_on_the_target() -> None:
    start = at((0.3, 0.3), (1.0, 0.0))
    arrived = act(start, MOVE, 0.3).state.body.position
    outcome = act(start._replace(body=start.body._replace(target=arrived)), MOVE, 0.3)
    assert outcome.reward.numpy() == [0.0]
    assert ends(outcome) == (True, False)


def test_start() -> None:
    body, tries = TASK.initial(tf.constant([1, 2]), 10_000)
    places = np.concatenate([body.position, body.target], axis=1)  # [B, 4]
    assert np.abs(places).max() <= 1
    # A uniform draw on [-1, 1] has the standard deviation 1 / sqrt(3).
    np.testing.assert_allclose(places.mean(0), 0, atol=4 / 3**0.5 / 100)
    np.testing.assert_allclose(np.cov(places.T), np.eye(4) / 3, atol=0.015)
    assert not body.velocity.numpy().any()
    assert not tries.numpy().any()


def test_bounds_of_observations_hold_and_are_tight() -> None:
    state = at((1.0, 0.0), (-1.0, 0.0))
    for _ in range(TASK.time_limit):
        state = act(state, MOVE, 0.5).state
    speed, way = observed(state)[[0, 2]] / TASK.observation_high[[0, 2]]
    assert 0.999 < speed <= 1
    assert -1 <= way < -0.997
    np.testing.assert_array_equal(TASK.observation_low, -TASK.observation_high)


# -- A second implementation -----------------------------------------------------------------------


class Reference:
    """One episode in plain Python, from the published rules."""

    def __init__(self, position: np.ndarray, target: np.ndarray) -> None:
        self.p, self.t, self.v, self.tries = position, target, np.zeros(2), 0

    def step(self, action: int, u: float) -> tuple[float, bool]:
        force = [2 * math.sin(math.pi * u), 2 * math.cos(math.pi * u)] if action == MOVE else [0, 0]
        self.v = 0.75 * self.v + 0.1 * np.array(force)
        self.p = self.p + 0.1 * self.v
        d2 = ((self.p - self.t) ** 2).sum()
        if self.tries <= 10:
            reward = -d2
            if action == CATCH:
                if d2 <= 0.04:
                    reward = 20 - d2
                else:
                    self.tries += 1
        else:
            reward = 0.0
        return reward, reward > 4 or reward == 0


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(tf.float64, 1e-13, id="float64"), pytest.param(tf.float32, 2e-6, id="float32")],
)
def test_random_episodes(dtype: tf.DType, tolerance: float) -> None:
    random, episodes = np.random.default_rng(1), 400
    positions = random.uniform(-1, 1, (episodes, 2))
    targets = positions + random.uniform(-0.6, 0.6, (episodes, 2))
    actions = (random.uniform(size=(25, episodes)) < 0.6).astype(np.int32)
    parameters = random.uniform(-1, 1, (25, episodes))
    start = [tf.constant(leaf, dtype) for leaf in (positions, 0 * positions, targets)]
    state = State(Body(*start), tf.zeros([episodes], tf.int32))
    references = [Reference(*places) for places in zip(positions, targets, strict=True)]
    running, endings = set(range(episodes)), {"caught": 0, "no tries left": 0}
    for action, parameter in zip(actions, parameters, strict=True):
        units = tf.constant(parameter[:, None], dtype)
        state, *rest = transition()(state, tf.constant(action), units)
        rewards, terminated, success = (leaf.numpy() for leaf in rest)
        observations = TASK.observation(state).numpy()
        for i in tuple(running):
            reference = references[i]
            reward, over = reference.step(action[i], parameter[i])
            expected = [reward, *reference.v, *(reference.t - reference.p)]
            np.testing.assert_allclose(
                [rewards[i], *observations[i]], expected, rtol=tolerance, atol=tolerance
            )
            assert (terminated[i], success[i]) == (over, reward > 4)
            if over:
                running.remove(i)
                endings["caught" if reward > 4 else "no tries left"] += 1
    assert min(*endings.values(), len(running)) > 20, "each ending is met with"

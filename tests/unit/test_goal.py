"""Goal against recorded trajectories, and on numbers worked by hand."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pamdp.base import seeding
from pamdp.base.environment import Outcome
from pamdp.envs import goal, soccer
from pamdp.envs.goal import Goal
from pamdp.envs.soccer import BALL, PLAYER, State
from tests.unit.matches import GOLDEN, at, recorded, ticked

KICK_TO, LEFT, RIGHT = 0, 1, 2
QUIET = {v: Goal(kind="goal", version=v, noise=0.0) for v in ("v0", "v1")}
both_versions = pytest.mark.parametrize("version", ["v0", "v1"])


@cache
def compiled(name: str, version: str, noise: float = 0.0) -> Callable[..., Any]:
    """A function of the environment, compiled once for each dtype and batch size."""
    function = getattr(Goal(kind="goal", version=version, noise=noise), name)
    return tf.function(
        lambda state, action, parameters: function(state, action, parameters, tf.constant([1, 2])),
        jit_compile=True,
        autograph=False,
    )


def act(state: State, action: int, *parameters: float, version: str = "v0") -> Outcome:
    padded = tf.constant([[*parameters, 0.0][:2]])
    return compiled("transition", version)(state, tf.constant([action]), padded)


# -- Recorded trajectories -------------------------------------------------------------------------


def agrees(episode: dict, dtype: tf.DType, tolerance: float) -> bool:
    """Whether a whole episode comes out as recorded."""
    state = recorded(episode["initial_observation"], dtype)
    for step in episode["steps"]:
        parameters = tf.constant([[*step["parameter"], 0.0][:2]], dtype)
        state, reward, terminated, success = compiled("transition", "v0")(
            state, tf.constant([step["action"]]), parameters
        )
        distance = np.abs(soccer.features(state)[0] - step["observation"]).max()
        if (
            max(distance, abs(reward.numpy()[0] - step["reward"])) > tolerance
            or terminated.numpy()[0] != step["terminated"]
            or success.numpy()[0] != (step["reward"] == 50)
            or state.ticks.numpy()[0] != step["ticks"]
        ):
            return False
    return True


@pytest.mark.parametrize(
    ("dtype", "tolerance", "share"),
    [
        pytest.param(tf.float64, 1e-9, 1.0, id="float64"),
        # A threshold may fall the other way in a rare episode.
        pytest.param(tf.float32, 1e-3, 0.97, id="float32"),
    ],
)
def test_recorded_episodes(dtype: tf.DType, tolerance: float, share: float) -> None:
    episodes = json.loads(GOLDEN.read_text())
    assert len(episodes) == 54
    assert sum(episode["steps"][-1]["reward"] == 50 for episode in episodes) == 22
    assert np.mean([agrees(episode, dtype, tolerance) for episode in episodes]) >= share


def test_random_policy_scores_as_recorded() -> None:
    episodes, environment = 10_000, Goal(kind="goal")
    spec = environment.actions

    def step(t, state, over, total, length, goals):
        key = seeding.stream(1, "policy", t)
        action = seeding.integers(key, [episodes], 3)
        units = 2 * seeding.uniform(seeding.fold(key, 1), [episodes, spec.num_parameters]) - 1
        parameters = spec.take(spec.unscale(units), action)
        outcome = environment.transition(
            state, action, parameters, seeding.stream(1, "environment", t)
        )
        total += tf.where(over, 0.0, outcome.reward)
        length += tf.where(over, 0.0, 1.0)
        goals += tf.where(over, 0.0, tf.cast(outcome.success, tf.float32))
        return t + 1, outcome.state, over | outcome.terminated, total, length, goals

    @tf.function(jit_compile=True, autograph=False)
    def rollout():
        zeros = tf.zeros([episodes])
        state = environment.initial(seeding.stream(1, "reset", 0), episodes)
        begin = (0, state, zeros > 0, zeros, zeros, zeros)
        return tf.while_loop(lambda t, s, over, *_: ~tf.reduce_all(over) & (t < 100), step, begin)

    over, total, length, goals = (leaf.numpy().astype(np.float64) for leaf in rollout()[2:])
    assert over.all()
    for scores, mean in ((total, -8.156), (length, 1.040), (goals, 0.0005)):
        assert scores.mean() == pytest.approx(mean, abs=4 * scores.std() / episodes**0.5)


# -- Actions, by hand ------------------------------------------------------------------------------


def first_tick(state: State, action: int, *parameters: float, version: str = "v0") -> State:
    padded = tf.constant([[*parameters, 0.0][:2]])
    path = compiled("path", version)(state, tf.constant([action]), padded)
    return tf.nest.map_structure(lambda leaf: leaf[0], path.states)


@pytest.mark.parametrize(
    ("version", "action", "parameters", "target"),
    [
        ("v0", KICK_TO, (6.0, 9.0), (6.0, 6.0)),
        ("v1", KICK_TO, (6.0, 9.0), (6.0, 9.0)),
        ("v0", KICK_TO, (-5.0, 9.0), (0.0, 0.0)),
        ("v1", KICK_TO, (-5.0, 99.0), (0.0, 15.0)),
        ("v1", KICK_TO, (6.0, -99.0), (6.0, -15.0)),
        ("v0", LEFT, (4.0,), (20.4, 4.0)),
        ("v0", RIGHT, (4.0,), (20.4, 4.0)),
        ("v1", RIGHT, (-9.0,), (20.4, -7.01)),
        ("v0", LEFT, (9.0,), (20.4, 7.01)),
    ],
)
def test_targets(version: str, action: int, parameters: tuple, target: tuple) -> None:
    after = first_tick(at(), action, *parameters, version=version)
    np.testing.assert_allclose(after.velocity[0, BALL], 0.94 * 0.06 * np.array(target), atol=1e-6)


@both_versions
def test_kicking_to_a_place(version: str) -> None:
    outcome = act(at(), KICK_TO, 5.0, 5.0, version=version)
    state = outcome.state
    assert outcome.reward.numpy() == [0.0]
    assert not outcome.terminated.numpy()[0]
    assert not outcome.success.numpy()[0]
    player, ball = state.position[0, PLAYER].numpy(), state.position[0, BALL].numpy()
    # 16.7 times 0.06 of (5, 5); the player has come nearer by steps of 0.1.
    assert np.hypot(*(ball - (6.5, 5))) < 0.1 / 0.06
    assert 1.5 <= np.hypot(*(ball - player)) <= 1.6
    assert np.hypot(*state.velocity[0, BALL]) <= 0.1


@both_versions
def test_an_action_takes_a_tick_at_least(version: str) -> None:
    outcome = act(at(), KICK_TO, 0.0, 0.0, version=version)  # the ball is there already
    assert outcome.state.ticks.numpy() == [1]
    assert outcome.state.actions.numpy() == [1]


@pytest.mark.parametrize(
    ("ball", "velocity", "reward", "scored"),
    [
        ((19.9, 3.0), (0.5, 0.0), (50.0, 50.0), True),
        ((19.9, -7.0), (0.1, 0.0), (50.0, 50.0), True),
        # Through the net, which is 2.44 deep: the distance to the goal is 0.
        ((19.9, 3.0), (2.6, 0.0), (0.0, 0.0), False),
        # Over the goal line beside the goal: measured from the post, but as published below it.
        ((19.9, 8.0), (0.5, 0.0), (-0.99, -0.99), False),
        ((19.9, -8.0), (0.5, 0.0), (-15.01, -0.99), False),
        # Over the other lines, to the nearer post.
        ((10.0, 14.8), (0.0, 0.5), (-np.hypot(10, 15.3 - 7.01),) * 2, False),
        ((10.0, -14.8), (0.0, -0.5), (-np.hypot(10, 15.3 - 7.01),) * 2, False),
        ((0.3, 5.0), (-0.5, 0.0), (-20.2, -20.2), False),
    ],
)
def test_ends(ball: tuple, velocity: tuple, reward: tuple[float, float], scored: bool) -> None:
    state = at(ball=ball, ball_velocity=velocity, player=(5.0, 0.0), keeper=(14.5, 0.0))
    for version, expected in zip(("v0", "v1"), reward, strict=True):
        outcome = act(state, LEFT, 0.0, version=version)
        assert outcome.state.ticks.numpy() == [1]
        assert outcome.terminated.numpy()[0]
        assert outcome.success.numpy()[0] == scored
        np.testing.assert_allclose(outcome.reward, [expected], rtol=1e-5)


@both_versions
def test_the_keeper_catches_the_ball(version: str) -> None:
    # It runs 0.048 in the first tick and 0.4 * 0.048 + 0.048 in the second: 2.1 - 0.1152 < 2.
    outcome = act(at(ball=(12.0, 0.0), keeper=(14.1, 0.0)), RIGHT, 0.0, version=version)
    assert outcome.state.ticks.numpy() == [2]
    assert outcome.terminated.numpy()[0]
    assert not outcome.success.numpy()[0]
    np.testing.assert_allclose(outcome.reward, [-8.0], rtol=1e-6)


def test_a_free_shot_scores() -> None:
    state = at(player=(8.0, 1.0), ball=(9.5, 1.0), keeper=(2.0, 1.0))
    outcome = act(state, LEFT, 5.0)
    assert outcome.success.numpy()[0]
    assert outcome.reward.numpy() == [50.0]
    # 0.06 * (12.4, 4), 6 % less each tick: 9.5 + 0.744 * (1 - 0.94^n) / 0.06 is 20 after n = 31.
    # The player runs after it and is too late to kick again.
    assert outcome.state.ticks.numpy() == [31]
    rolled = (1 - 0.94**31) / 0.06
    expected = [9.5 + 0.744 * rolled, 1 + 0.24 * rolled]
    np.testing.assert_allclose(outcome.state.position[0, BALL], expected, rtol=1e-5)


def test_the_hundredth_action() -> None:
    late, before = at(ball=(1.5, 9.0), actions=99), at(ball=(1.5, 9.0), actions=98)
    for action in (KICK_TO, LEFT):
        outcome = act(late, action, 5.0)
        assert outcome.terminated.numpy()[0]
        assert not outcome.success.numpy()[0]
        np.testing.assert_allclose(outcome.reward, [-np.hypot(18.5, 1.99)], rtol=1e-6)
        assert outcome.state.ticks.numpy() == [0]
        np.testing.assert_array_equal(outcome.state.position, late.position)
    for outcome in (act(before, KICK_TO, 1.0), act(late, KICK_TO, 1.0, version="v1")):
        assert not outcome.terminated.numpy()[0]
        assert outcome.reward.numpy() == [0.0]
        assert outcome.state.ticks.numpy()[0] > 0
    assert Goal(kind="goal").time_limit == 100  # and the loops truncate v1 there


def test_too_long_an_action_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goal, "MAX_TICKS", 5)
    arguments = (tf.constant([LEFT]), tf.constant([[0.0, 0.0]]), tf.constant([0, 0]))
    outcome = QUIET["v0"].transition(at(), *arguments)
    assert outcome.state.ticks.numpy() == [5]
    assert not outcome.terminated.numpy()[0]
    assert outcome.reward.numpy() == [0.0]
    state = at()
    for _ in range(5):
        state = ticked(state)
    for found, expected in zip(outcome.state[:3], state[:3], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rows_of_a_batch_are_independent() -> None:
    actions = [(KICK_TO, 5.0), (LEFT, 6.0), (RIGHT, -6.0), (KICK_TO, 0.0)]
    singles = [act(at(), *action) for action in actions]
    batch = compiled("transition", "v0")(
        tf.nest.map_structure(lambda leaf: tf.repeat(leaf, 4, axis=0), at()),
        tf.constant([action for action, _ in actions]),
        tf.constant([[parameter, 0.0] for _, parameter in actions]),
    )
    alone = tf.nest.map_structure(lambda *leaves: tf.concat(leaves, 0), *singles)
    assert len(set(alone.state.ticks.numpy())) > 2
    for found, expected in zip(tf.nest.flatten(batch), tf.nest.flatten(alone), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_noise_of_an_action() -> None:
    @tf.function(jit_compile=True, autograph=False)
    def shoot(noise: tf.Tensor) -> State:
        environment, key = QUIET["v0"].model_copy(update={"noise": noise}), tf.constant([3, 4])
        start = tf.nest.map_structure(lambda leaf: tf.repeat(leaf, 100, axis=0), at())
        action, parameters = tf.fill([100], LEFT), tf.fill([100, 2], 5.0)
        return environment.transition(start, action, parameters, key).state

    quiet, noisy = shoot(tf.constant(0.0)), shoot(tf.constant(1.0))
    assert np.ptp(quiet.position.numpy(), axis=0).max() == 0
    assert len(np.unique(tf.reshape(noisy.position, [100, 6]), axis=0)) == 100
    # 5 % of the angle of the kick, about 0.24, on a way of 11.
    assert 0.2 < np.ptp(noisy.position[:, BALL, 1]) < 0.3


@both_versions
def test_path_leads_to_the_outcome(version: str) -> None:
    path_of, transition = (compiled(name, version, 1.0) for name in ("path", "transition"))
    for action, state in ((KICK_TO, at()), (LEFT, at()), (LEFT, at(actions=99))):
        arguments = (state, tf.constant([action]), tf.constant([[5.0, 3.0]]))
        path, outcome = path_of(*arguments), transition(*arguments)
        length = int(path.length)
        assert length == max(1, outcome.state.ticks.numpy()[0])
        np.testing.assert_allclose(
            path.states.position[length - 1], outcome.state.position, atol=1e-4
        )
        ticks = path.states.ticks.numpy()[:, 0]
        if length > 1:
            np.testing.assert_array_equal(ticks[:length], np.arange(1, length + 1))

"""Platform against recorded trajectories, and on numbers worked by hand."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pamdp.base import seeding
from pamdp.base.environment import Outcome
from pamdp.envs.platform import Platform, State

GOLDEN = Path(__file__).parents[1] / "golden" / "platform.json"
RUN, HOP, LEAP = 0, 1, 2
QUIET = Platform(kind="platform", noise=0.0)


@cache
def transition() -> Callable[..., Outcome]:
    """Compiled once for each dtype and batch size; without noise, so that the key is nothing."""
    return tf.function(
        lambda state, action, parameters: QUIET.transition(
            state, action, parameters, tf.constant([0, 0])
        ),
        jit_compile=True,
        autograph=False,
    )


def cast(state: State, dtype: tf.DType) -> State:
    return State(*(tf.cast(leaf, dtype) for leaf in state[:-1]), ticks=state.ticks)


def at(
    x: float,
    y: float = 40.0,
    enemy: tuple[float, float] = (230.0, 730.0),
    speed: tuple[float, float] = (-30.0, -30.0),
) -> State:
    """A player at rest."""
    zero = tf.zeros([1])
    enemies, speeds = tf.constant([enemy]), tf.constant([speed])
    return State(zero + x, zero + y, zero, zero, enemies, speeds, ticks=tf.constant([0]))


def act(state: State, action: int, parameter: float) -> Outcome:
    return transition()(state, tf.constant([action]), tf.constant([[parameter]]))


def observed(state: State) -> np.ndarray:
    return QUIET.observation(state)[0].numpy()


# -- Recorded trajectories -------------------------------------------------------------------------


def agrees(episode: dict, dtype: tf.DType, tolerance: float) -> bool:
    """Whether a whole episode comes out as recorded."""
    state = cast(QUIET.initial(tf.constant([0, 0]), 1), dtype)
    if not np.allclose(observed(state), episode["initial_observation"], rtol=0, atol=tolerance):
        return False
    for step in episode["steps"]:
        parameters = tf.constant([step["parameter"]], dtype)
        state, reward, terminated, _ = transition()(
            state, tf.constant([step["action"]]), parameters
        )
        distance = np.abs(observed(state) - step["observation"]).max()
        if (
            max(distance, abs(reward.numpy()[0] - step["reward"])) > tolerance
            or terminated.numpy()[0] != step["terminated"]
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
    assert len(episodes) == 52
    assert np.mean([agrees(episode, dtype, tolerance) for episode in episodes]) >= share


def test_random_policy_scores_as_recorded() -> None:
    episodes, low, high = 20_000, QUIET.actions.low, QUIET.actions.high
    environment = Platform(kind="platform")

    def step(t, state, over, total, length):
        key = seeding.stream(1, "policy", t)
        action = seeding.integers(key, [episodes], 3)
        units = low + (high - low) * seeding.uniform(seeding.fold(key, 1), [episodes, 3])
        parameters = environment.actions.take(units, action)
        outcome = environment.transition(
            state, action, parameters, seeding.stream(1, "environment", t)
        )
        total += tf.where(over, 0.0, outcome.reward)
        length += tf.where(over, 0.0, 1.0)
        return t + 1, outcome.state, over | outcome.terminated, total, length

    @tf.function(jit_compile=True, autograph=False)
    def rollout():
        zeros = tf.zeros([episodes])
        begin = (0, environment.initial(tf.constant([0, 0]), episodes), zeros > 0, zeros, zeros)
        return tf.while_loop(lambda t, s, over, *_: ~tf.reduce_all(over) & (t < 200), step, begin)

    over, *scores = (leaf.numpy().astype(np.float64) for leaf in rollout()[2:])
    assert over.all()
    # Four standard errors of the recorded mean.
    (total, total_error), (length, length_error) = (
        (score.mean(), 4 * score.std() / episodes**0.5) for score in scores
    )
    assert total == pytest.approx(0.1529, abs=total_error)
    assert length == pytest.approx(2.173, abs=length_error)
    assert scores[0].std() == pytest.approx(0.1041, rel=0.03)


# -- By hand ---------------------------------------------------------------------------------------


def test_standing_still_lets_the_enemy_come() -> None:
    outcome = act(at(0.0), RUN, 0.0)
    assert outcome.reward.numpy() == [0.0]
    assert outcome.state.ticks.numpy() == [20]
    # At its right end the enemy turns round in each tick: away from the player in the first, back
    # in the second. So it walks 19 ticks of 30 * 0.05: 230 - 28.5. The other enemy rests.
    np.testing.assert_allclose(outcome.state.enemy, [[201.5, 730.0]])
    np.testing.assert_allclose(outcome.state.enemy_speed, [[-30.0, -30.0]])


def test_running() -> None:
    outcome = act(at(0.0), RUN, 30.0)
    # Speed rises by 30 a tick and falls by 1 % after each: 30, 29.7 + 30, then it is held at 70.
    # x = 0.05 * (30 + 59.7 + 18 * 70)
    np.testing.assert_allclose(outcome.state.x, [67.485], rtol=1e-6)
    np.testing.assert_allclose(outcome.reward, [67.485 / 1035], rtol=1e-6)
    np.testing.assert_allclose(
        observed(outcome.state),
        [87.485 / 1055, 69.3 / 100, 201.5 / 1035, 0, 250 / 275, 1, 225 / 235, 0, 0],
        rtol=1e-6,
    )
    assert not outcome.terminated.numpy()[0]
    assert not outcome.success.numpy()[0]


def test_hopping() -> None:
    outcome = act(at(0.0), HOP, 200.0)
    # Height after n ticks: 0.05 * (35 n - 0.49 n (n - 1) / 2), below 0 from n = 144 on.
    assert outcome.state.ticks.numpy() == [144]
    # The speed 200 / (2 * 35 / 9.8 + 1) decays by 1 % a tick: a geometric series of 144 terms.
    distance = 0.05 * (200 / (70 / 9.8 + 1)) * (1 - 0.99**144) / 0.01
    np.testing.assert_allclose(outcome.state.x, [distance], rtol=1e-5)
    np.testing.assert_allclose(outcome.state.y, [40.0])  # pushed out of the platform, exactly
    np.testing.assert_allclose([outcome.state.vx, outcome.state.vy], [[0.0], [0.0]])


@pytest.mark.parametrize(("parameter", "clipped"), [(1000.0, 30.0), (-5.0, 0.0)])
def test_parameters_are_clipped(parameter: float, clipped: float) -> None:
    for found, expected in zip(
        tf.nest.flatten(act(at(0.0), RUN, parameter)),
        tf.nest.flatten(act(at(0.0), RUN, clipped)),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)


def test_falling_ends_the_episode() -> None:
    outcome = act(at(240.0, enemy=(100.0, 730.0)), RUN, 30.0)
    # 240 + 0.05 * (30 + 59.7 + 70 + 70) = 251.485 is beyond the edge at 250; in the fifth tick the
    # player flies on with 69.3 and falls.
    assert outcome.state.ticks.numpy() == [5]
    assert outcome.terminated.numpy()[0]
    assert not outcome.success.numpy()[0]
    np.testing.assert_allclose(outcome.reward, [(11.485 + 0.05 * 69.3) / 1035], rtol=1e-5)


def test_touching_an_enemy_ends_the_episode() -> None:
    outcome = act(at(100.0, enemy=(121.0, 730.0)), RUN, 0.0)  # at 119.5 they overlap
    assert outcome.state.ticks.numpy() == [1]
    assert outcome.terminated.numpy()[0]
    assert outcome.reward.numpy() == [0.0]


def test_being_above_an_enemy_does_not() -> None:
    outcome = act(at(100.0, y=71.0, enemy=(121.0, 730.0)), LEAP, 0.0)
    assert outcome.state.ticks.numpy()[0] > 1


def test_reaching_the_end_is_success() -> None:
    outcome = act(at(1030.0), RUN, 30.0)
    assert outcome.state.ticks.numpy() == [3]  # 1031.5, 1034.485, and 1035 is held
    assert outcome.terminated.numpy()[0]
    assert outcome.success.numpy()[0]
    np.testing.assert_allclose(outcome.reward, [5 / 1035], rtol=1e-6)
    assert observed(outcome.state)[0] == 1.0


@pytest.mark.parametrize(
    ("x", "enemy", "platform"),
    [
        (0.0, 200, [250 / 275, 275 / 275, 225 / 235, 0 / 1035]),
        (474.0, 200, [250 / 275, 275 / 275, 225 / 235, 0 / 1035]),
        (475.0, 200, [275 / 275, 50 / 275, 235 / 235, 475 / 1035]),  # its enemy: only beyond 475
        (500.0, 700, [275 / 275, 50 / 275, 235 / 235, 475 / 1035]),
        (985.0, 700, [50 / 275, 0, 0, 985 / 1035]),
    ],
)
def test_observation(x: float, enemy: float, platform: list[float]) -> None:
    state = at(x, enemy=(200.0, 700.0), speed=(15.0, 15.0))._replace(vx=tf.constant([50.0]))
    expected = [(x + 20) / 1055, 0.5, enemy / 1035, 0.75, *platform, 0]
    np.testing.assert_allclose(observed(state), expected, rtol=1e-6)


def test_rows_of_a_batch_are_independent() -> None:
    actions = [(RUN, 30.0), (HOP, 200.0), (LEAP, 430.0), (RUN, 0.0)]
    singles = [act(at(0.0), *action) for action in actions]
    batch = transition()(
        tf.nest.map_structure(lambda leaf: tf.repeat(leaf, 4, axis=0), at(0.0)),
        tf.constant([action for action, _ in actions]),
        tf.constant([[parameter] for _, parameter in actions]),
    )
    alone = tf.nest.map_structure(lambda *leaves: tf.concat(leaves, 0), *singles)
    for found, expected in zip(tf.nest.flatten(batch), tf.nest.flatten(alone), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def test_noise_slows_the_player_down() -> None:
    # Every draw on the player's speed is taken from it: |N(0, 1)| at the take-off,
    # |N(0, 0.5 * 0.05)| in each tick. So no noisy leap is longer or higher than the quiet one.
    @tf.function(jit_compile=True, autograph=False)
    def leap(noise: tf.Tensor) -> State:
        environment, key = QUIET.model_copy(update={"noise": noise}), tf.constant([3, 4])
        start = environment.initial(key, 100)
        start = start._replace(x=start.x + 475.5)
        action, parameters = tf.fill([100], LEAP), tf.fill([100, 1], 100.0)
        return environment.transition(start, action, parameters, key).state

    quiet, noisy = leap(tf.constant(0.0)), leap(tf.constant(1.0))
    assert np.ptp(quiet.x.numpy()) == 0
    assert (noisy.x.numpy() < quiet.x.numpy()).all()
    assert (noisy.ticks.numpy() <= quiet.ticks.numpy()).all()
    assert len(np.unique(noisy.x)) == 100

"""Exploration: the schedule, the noise and the random actions."""

import numpy as np
import pytest

from pamdp.base import seeding
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.learning.exploration import Epsilon, OrnsteinUhlenbeck, UniformParameters
from pamdp.learning.learner import Learner
from pamdp.learning.policy import Weights
from pamdp.learning.state import LearnerState
from tests.helpers import SPEC, experienced, learner

OWN = tf.constant([1.0, 1.0, 0.0])
X = tf.constant([0.5, -0.5, 0.25])
STEPS = 400


def key(step: int) -> tf.Tensor:
    return seeding.stream(tf.constant(1), Stream.EXPLORE, step)


@pytest.mark.parametrize(
    ("episodes", "expected"),
    [(0, 1.0), (250, 0.775), (500, 0.55), (1000, 0.1), (1001, 0.1), (10**6, 0.1)],
)
def test_epsilon_is_linear_over_episodes_then_constant(episodes, expected) -> None:
    epsilon = Epsilon(start=1.0, end=0.1, episodes=1000.0)
    assert float(epsilon.at(tf.constant(episodes))) == pytest.approx(expected, rel=1e-6)


def test_noise_without_draws_decays_by_hand() -> None:
    process = OrnsteinUhlenbeck(kind="ornstein_uhlenbeck", theta=0.25, sigma=0.0)
    noise, random = tf.constant([1.0, -2.0, 4.0]), tf.constant(False)
    for expected in ([0.75, -1.5, 3.0], [0.5625, -1.125, 2.25]):
        x, noise = process.explore(X, noise, random, OWN, key(0))
        assert np.asarray(noise).tolist() == expected
        np.testing.assert_allclose(x, [0.5 + expected[0], -0.5 + expected[1], 0.25])


def test_noise_is_the_recursion_by_hand() -> None:
    """And it goes on in the parameters of other actions, and where the action is random."""
    process = OrnsteinUhlenbeck(kind="ornstein_uhlenbeck", theta=0.15, sigma=0.3)
    noise, by_hand = tf.zeros([3]), np.zeros(3)
    for step in range(5):
        draw = np.asarray(seeding.normal(key(step), (3,)))
        by_hand = by_hand - 0.15 * by_hand + 0.3 * draw
        x, noise = process.explore(X, noise, tf.constant(step % 2 == 0), OWN, key(step))
        np.testing.assert_allclose(noise, by_hand, rtol=1e-5)
        np.testing.assert_allclose(x, X + OWN * by_hand, rtol=1e-5)
        assert float(x[2]) == 0.25


def test_spread_of_the_noise_in_the_long_run() -> None:
    process = OrnsteinUhlenbeck(kind="ornstein_uhlenbeck", theta=0.2, sigma=0.1)
    noise = tf.zeros([4000])
    for step in range(40):
        _, noise = process.explore(noise, noise, tf.constant(False), noise, key(step))
    assert np.std(noise) == pytest.approx(0.1 / (1 - 0.8**2) ** 0.5, rel=0.05)


def test_uniform_parameters_where_the_action_is_random() -> None:
    x, noise = tf.fill([5000], 0.9), tf.constant([7.0])
    drawn, same = UniformParameters(kind="uniform").explore(x, noise, tf.constant(True), x, key(0))
    assert same is noise
    assert -1 <= np.min(drawn) < -0.99
    assert 0.99 < np.max(drawn) < 1
    assert abs(np.mean(drawn)) < 5 * (1 / 3 / 5000) ** 0.5
    assert np.var(drawn) == pytest.approx(1 / 3, rel=0.05)


def test_no_exploration_where_the_action_is_greedy() -> None:
    kept, _ = UniformParameters(kind="uniform").explore(X, X, tf.constant(False), OWN, key(0))
    assert np.array_equal(kept, X)


# -- In the learner ----------------------------------------------------------------------------


def acts(agent: Learner, state: LearnerState) -> tuple[np.ndarray, np.ndarray]:
    """Actions [T] and parameters [T, P] of a state's choice at many steps."""

    @tf.function(autograph=False)
    def choices() -> tuple:
        def choose(step: tf.Tensor) -> tuple:
            observation = tf.constant([0.3, 0.6, 0.1])
            return tuple(agent.act(state._replace(step=step), observation).choice)

        return tf.map_fn(choose, tf.range(STEPS), (tf.int32, tf.float32))

    actions, parameters = choices()
    return np.asarray(actions), np.asarray(parameters)


def greedy(agent: Learner, state: LearnerState) -> tuple[int, np.ndarray]:
    observation = tf.constant([[0.3, 0.6, 0.1]])
    weights = Weights(state.x_network.online, state.q_network.online, ())
    decision = agent.policy.greedy(weights, observation)
    return int(decision.action[0]), np.asarray(decision.parameters[0])


def test_epsilon_is_the_share_of_random_actions() -> None:
    agent = learner(epsilon__start=0.4, epsilon__end=0.4)
    state = experienced(agent)
    actions, parameters = acts(agent, state)
    best, x = greedy(agent, state)
    random = np.any(~np.isclose(parameters, x, atol=1e-5), axis=1)
    assert np.mean(random) == pytest.approx(0.4, abs=5 * (0.24 / STEPS) ** 0.5)
    assert (actions[~random] == best).all()
    counts = np.bincount(actions[random], minlength=SPEC.num_actions)
    expected = random.sum() / SPEC.num_actions
    assert np.abs(counts - expected).max() < 5 * expected**0.5
    assert len(np.unique(parameters[random][:, 0])) == random.sum()


def test_epsilon_follows_the_episodes_and_not_the_steps() -> None:
    agent = learner(epsilon__start=1.0, epsilon__end=0.0, epsilon__episodes=10.0)
    state = experienced(agent)
    _, x = greedy(agent, state)
    for episodes, share in ((0, 1.0), (5, 0.5), (10, 0.0)):
        _, parameters = acts(agent, state._replace(episodes=tf.constant(episodes)))
        random = np.any(~np.isclose(parameters, x, atol=1e-5), axis=1)
        assert np.mean(random) == pytest.approx(share, abs=5 * (share * (1 - share) / STEPS) ** 0.5)


def test_without_exploration_the_choice_is_greedy() -> None:
    agent = learner(epsilon__start=0.0, epsilon__end=0.0)
    state = experienced(agent)
    actions, parameters = acts(agent, state)
    best, x = greedy(agent, state)
    assert (actions == best).all()
    np.testing.assert_allclose(parameters, np.tile(x, [STEPS, 1]), rtol=1e-5, atol=1e-5)


def test_noise_moves_only_the_chosen_actions_parameters() -> None:
    agent = learner(
        exploration={"kind": "ornstein_uhlenbeck", "theta": 0.15, "sigma": 0.1},
        epsilon__start=1.0,
        epsilon__end=1.0,
    )
    state = experienced(agent)
    actions, parameters = acts(agent, state)
    _, x = greedy(agent, state)
    moved = ~np.isclose(parameters, x, atol=1e-5)
    assert set(actions) == set(range(SPEC.num_actions))
    assert not (moved & ~(SPEC.owned[actions] > 0)).any()
    assert np.mean(moved[SPEC.owned[actions] > 0]) > 0.99

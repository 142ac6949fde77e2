"""The options of TD3: two Q-functions, noise on the target's parameters, fewer moves of them."""

from typing import Any

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base import seeding
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.learning.learner import Learner
from pamdp.learning.state import LearnerState
from tests.helpers import bytes_of, experienced, learner, minibatch


def twins(agent: Learner) -> Any:
    """A state whose second Q-network is another one, with a target network of its own."""
    state, other = experienced(agent), experienced(agent, seed=7)
    return state._replace(second_q=other.q_network)


def values(agent: Learner, state: LearnerState, q: tuple, x: tf.Tensor) -> np.ndarray:
    """[B, K] of the target's parameters at what followed the next minibatch."""
    s = minibatch(agent, state).s_t
    return np.asarray(agent.policy.values(state.target._replace(q=q), s, x))


def expected(agent: Learner, state: LearnerState, best: np.ndarray) -> np.ndarray:
    """[B] targets of these values of what follows."""
    batch = minibatch(agent, state)
    return np.asarray(batch.r_t + agent.settings.gamma * batch.continues_t * best)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_target_is_the_best_action_by_the_smaller_value(algorithm) -> None:
    agent = learner(algorithm, twin_q=True)
    state = twins(agent)
    x = agent.policy.parameters(state.target, minibatch(agent, state).s_t)
    first = values(agent, state, state.q_network.target, x)
    second = values(agent, state, state.second_q.target, x)
    smaller = np.minimum(first, second)
    assert (first < second).any()
    assert (first > second).any()
    target = agent.targets.sample(agent.replay, state).target
    np.testing.assert_allclose(target, expected(agent, state, smaller.max(axis=1)), rtol=1e-5)


def test_both_learn_alike_from_one_target() -> None:
    agent = learner("mpdqn", twin_q=True)
    state = twins(agent)
    turned = state._replace(q_network=state.second_q, second_q=state.q_network)
    one: Any = agent.learn(state)
    two: Any = agent.learn(turned)
    assert bytes_of(one.second_q) == bytes_of(two.q_network)
    assert bytes_of(one.q_network) == bytes_of(two.second_q)
    assert bytes_of(one.second_q.online) != bytes_of(state.second_q.online)
    assert bytes_of(one.x_network) != bytes_of(two.x_network)  # the objective is of the first


def test_the_second_one_begins_with_weights_of_its_own_and_only_where_it_is_wanted() -> None:
    first = tf.constant([0.2, 0.9, 0.4])
    state: Any = learner("mpdqn", twin_q=True).initial(tf.constant(1), first)
    assert bytes_of(state.second_q.online) != bytes_of(state.q_network.online)
    assert learner("mpdqn").initial(tf.constant(1), first).second_q == ()


def test_noise_moves_the_parameters_of_the_target_within_their_bounds() -> None:
    agent = learner("mpdqn", target_noise={"std": 0.5, "clip": 0.4})
    state = experienced(agent)
    x = agent.policy.parameters(state.target, minibatch(agent, state).s_t)
    key = seeding.stream(state.seed, Stream.TARGET_NOISE, state.step)
    noise = np.clip(0.5 * np.asarray(seeding.normal(key, x.shape)), -0.4, 0.4)
    assert (np.abs(noise) == np.float32(0.4)).any()
    assert (np.abs(x + noise) > 1).any()
    moved = tf.constant(np.clip(x + noise, -1, 1), tf.float32)
    best = values(agent, state, state.q_network.target, moved).max(axis=1)
    target = agent.targets.sample(agent.replay, state).target
    np.testing.assert_allclose(target, expected(agent, state, best), rtol=1e-5, atol=1e-6)


def test_the_parameter_network_and_all_targets_move_at_every_third_update_from_the_first() -> None:
    agent = learner("mpdqn", parameters_every=3, learning_starts=16, twin_q=True)
    state: Any = twins(agent)._replace(step=tf.constant(16))
    moved = []
    for step in range(16, 23):
        before: Any = state
        state = agent.learn(before._replace(step=tf.constant(step)))
        assert bytes_of(before.q_network.online) != bytes_of(state.q_network.online)
        assert bytes_of(before.second_q.online) != bytes_of(state.second_q.online)
        parts = [
            (each.x_network, each.q_network.target, each.second_q.target)
            for each in (before, state)
        ]
        (found,) = {bytes_of(old) != bytes_of(new) for old, new in zip(*parts, strict=True)}
        moved.append(found)
    assert moved == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("algorithm", ["mpdqn", "spdqn", "epdqn"])
def test_noise_leaves_what_pads_the_parameters_of_candidates(algorithm) -> None:
    some: Any = {"candidates": 2, "objective": "indexed"}
    agent = learner(algorithm, target_noise={"std": 0.5, "clip": 0.4}, **some)
    actions = tf.constant([[0, 1], [1, 2], [2, 0]])
    real = np.asarray(agent.policy.real(actions)) > 0
    assert 0 < real.sum() < real.size
    moved = agent.targets._noisy(experienced(agent), tf.zeros(real.shape), actions)
    np.testing.assert_array_equal(np.asarray(moved) != 0, real)

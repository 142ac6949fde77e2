"""Several parameter policies by value: those of P-DQN worked out anew in NumPy."""

from typing import Any

import numpy as np
import pytest

from pamdp.base.algorithm import ParameterNetwork
from pamdp.base.choices import Choices
from pamdp.base.heads import ForEachHead
from pamdp.base.lazy import tf
from pamdp.learning.learner import Learner
from pamdp.learning.state import LearnerState
from pamdp.learning.updates import BETA_1
from tests.helpers import FEATURES, SPEC, algorithm_of, bytes_of, experienced, learner, minibatch
from tests.unit.by_hand import Perceptron, inverted, joined

KINDS = ["pdqn", "spdqn", "mpdqn"]
M, K, P = 3, SPEC.num_actions, SPEC.num_parameters


def headed(kind: str = "pdqn", strategy: Any = "plain", heads: int = M, **changes: Any) -> Learner:
    changes = {"gradient_clip": None, "batch_size": 64} | changes
    return learner(algorithm_of(kind, heads=heads), strategy, **changes)


def one_of(agent: Learner, weights: Any, s: tf.Tensor, x: tf.Tensor) -> np.ndarray:
    """[B, K, M] values of each head's parameters alone, of the algorithm with one head."""
    q_function = headed(kind_of(agent), heads=1).policy.q_function
    sets = np.split(np.asarray(x), M, axis=1)
    return np.stack([q_function.values(weights.q, s, tf.constant(each)) for each in sets], axis=2)


def kind_of(agent: Learner) -> str:
    function: Any = agent.policy.q_function
    return {"Joint": "pdqn", "Separate": "spdqn", "MultiPass": "mpdqn"}[type(function.one).__name__]


def gradient(agent: Learner, state: LearnerState) -> list[np.ndarray]:
    """Of the parameter network in an update, read back from Adam's first moments."""
    first = agent.learn(state).x_network.moments.first
    return [np.asarray(moment) / (1 - BETA_1) for moment in tf.nest.flatten(first)]


# -- What is proposed and taken --------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_one_head_is_the_algorithm_as_published(kind) -> None:
    policy = headed(kind, heads=1).policy
    assert type(policy.choices) is Choices
    assert policy.spec is policy.q_function.spec is policy.parameter_network.spec is SPEC
    assert type(policy.parameter_network) is ParameterNetwork
    assert not isinstance(policy.q_function, ForEachHead)


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_action_of_the_best_head_is_taken(kind) -> None:
    agent = headed(kind)
    weights, policy = experienced(agent).online, agent.policy
    observations = tf.random.stateless_uniform([60, FEATURES], [1, 2])
    s = 2 * observations - 1
    x = policy.parameters(weights, s)
    assert x.shape == (60, M * P)
    values = one_of(agent, weights, s, x)
    decision = policy.greedy(weights, observations)
    np.testing.assert_allclose(decision.q, values.max(axis=2), rtol=1e-4, atol=1e-5)
    assert np.array_equal(decision.action, values.max(axis=2).argmax(axis=1))
    head = values.max(axis=1).argmax(axis=1)
    assert set(head) == set(range(M))
    taken = np.asarray(x).reshape(60, M, P)[np.arange(60), head]
    np.testing.assert_array_equal(decision.parameters, taken)


@pytest.mark.parametrize("kind", KINDS)
def test_the_target_is_the_best_of_all_heads(kind) -> None:
    agent = headed(kind)
    state = experienced(agent)
    batch = minibatch(agent, state)
    x = agent.policy.parameters(state.target, batch.s_t)
    best = one_of(agent, state.target, batch.s_t, x).max(axis=(1, 2))
    expected = batch.r_t + agent.settings.gamma * batch.continues_t * best
    found = agent.targets.sample(agent.replay, state).target
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_critic_learns_the_value_of_the_parameters_that_were_taken(kind) -> None:
    agent = headed(kind)
    state = experienced(agent)
    batch, rows = minibatch(agent, state), np.arange(64)
    choice = np.asarray(batch.a_tm1)
    assert set(choice // K) == set(range(M))
    values = one_of(agent, state.online, batch.s_tm1, batch.x_tm1)
    taken = agent.policy.q_function.taken(state.online.q, batch.s_tm1, batch.x_tm1, batch.a_tm1)
    np.testing.assert_allclose(taken, values[rows, choice % K, choice // K], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("std", [0.0, 1e-5, None])
def test_heads_start_apart_within_the_bounds_and_the_first_as_if_alone(std) -> None:
    agent = headed(parameters__output_std=std)
    weights = agent.initial(tf.constant(1), tf.constant([0.2, 0.9, 0.4])).online
    bias = np.asarray(weights.x[-1][1]).reshape(M, P)
    assert not np.any(bias[0])
    assert np.abs(bias).max() <= 1
    assert np.std(bias[1:]) > 0.3
    assert not np.isclose(bias[1], bias[2]).any()


# -- What is learned -------------------------------------------------------------------------------


def by_head(agent: Learner, state: LearnerState) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P-DQN in NumPy: x(s) [B, M, P], the values [B, M, K] and their gradients [B, M, K, P]."""
    s = np.asarray(minibatch(agent, state).s_tm1, np.float64)
    x = Perceptron.of(state.x_network.online)(s).reshape(-1, M, P)
    q = Perceptron.of(state.q_network.online)
    seen = [joined(s, x[:, m]) for m in range(M)]
    values = np.stack([q(z) for z in seen], axis=1)
    ones = np.eye(K)[:, None] * np.ones([K, len(s), 1])
    slopes = [np.stack([q.by_input(z, one)[:, FEATURES:] for one in ones], 1) for z in seen]
    return x, values, np.stack(slopes, axis=1)


def ascents(objective: str, choice: np.ndarray, values: np.ndarray, g: np.ndarray) -> np.ndarray:
    """[B, M, P] of the objectives, before the mean."""
    batch = np.arange(len(choice))
    chosen = np.zeros_like(values)
    if objective == "sum":
        chosen[:] = 1
    elif objective == "indexed":
        chosen[batch, choice // K, choice % K] = 1
    elif objective == "weighted_indexed":
        chosen[batch, choice // K, choice % K] = [np.mean(choice == each) for each in choice]
    else:
        best = values.reshape(len(batch), -1).argmax(axis=1)
        chosen[batch, best // K, best % K] = 1
    return np.einsum("bmk,bmkp->bmp", chosen, g)


@pytest.mark.parametrize("objective", ["sum", "indexed", "weighted_indexed", "greedy"])
@pytest.mark.parametrize("strategy", ["plain", "inverting"])
def test_what_each_head_ascends(objective, strategy) -> None:
    """All heads their own values, or that which was sampled, or the best alone."""
    agent = headed("pdqn", strategy, objective=objective)
    state = experienced(agent)
    batch = minibatch(agent, state)
    x, values, g = by_head(agent, state)
    ascent = ascents(objective, np.asarray(batch.a_tm1), values, g)
    if strategy == "inverting":
        ascent = inverted(ascent, x)
    s = np.asarray(batch.s_tm1, np.float64)
    actor = Perceptron.of(state.x_network.online)
    expected = actor.by_weights(s, -ascent.reshape(len(s), -1) / len(s))
    for a, b in zip(gradient(agent, state), expected, strict=True):
        assert np.any(b)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.max(np.abs(b)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_suppresses_a_bad_action_suppresses_its_head_alone(kind) -> None:
    """`selective` leaves out the sampled action's parameters of the head that proposed them."""
    plain, selective = headed(kind), headed(kind, {"kind": "selective", "threshold": 1e6})
    state = experienced(plain)
    memory = np.array(state.replay)
    memory[:, FEATURES + M * P] = K + 2  # the third action of the second head, in every transition
    state = state._replace(replay=tf.constant(memory))
    rows = [gradient(agent, state)[-1].reshape(M, P) for agent in (plain, selective)]
    suppressed = np.zeros([M, P], bool)
    suppressed[1] = SPEC.owned[2] > 0
    assert np.all(rows[0])
    assert not np.any(rows[1][suppressed])
    np.testing.assert_allclose(rows[1][~suppressed], rows[0][~suppressed], rtol=1e-5)


@pytest.mark.parametrize("kind", ["spdqn", "mpdqn"])
def test_candidates_are_actions_of_heads(kind) -> None:
    agents = [
        headed(kind, objective="indexed", candidates=number, parameters__output_std=None)
        for number in (M * K, None)
    ]
    one, other = (agent.learn(experienced(agent)) for agent in agents)
    for a, b in zip(bytes_of(one.q_network), bytes_of(other.q_network), strict=True):
        np.testing.assert_allclose(*(np.frombuffer(e, np.float32) for e in (a, b)), atol=1e-5)

"""From observations to what is sent to the environment."""

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base.lazy import tf
from pamdp.learning.policy import InitialParameters, Weights
from tests.helpers import SPEC, experienced, learner

BIAS = [0.5, 2.5, 0.25, 0.0, 2.75, -1.0]  # environment units; scaled 0.5, -0.5, -0.5, 0, 0.5, -0.2
SCALED = [0.5, -0.5, -0.5, 0.0, 0.5, -0.2]


def test_what_is_sent_is_clipped_in_environment_units_and_padded() -> None:
    x = tf.constant([[0.5, 3.0, 0.0, -2.0, 0.5, -0.2]] * 4)
    sent = np.asarray(SPEC.executed(x, tf.range(4)))
    expected = [[0.5, 10.0, 0.0], [0.0, 0.0, 0.0], [0.5, -5.0, 2.75], [-1.0, 0.0, 0.0]]
    np.testing.assert_allclose(sent, expected, atol=1e-6)


def test_greedy_is_the_best_of_the_values_of_the_networks_own_parameters() -> None:
    agent = learner("pdqn")
    state = experienced(agent)
    policy, observation = agent.policy, tf.random.stateless_uniform([50, 3], [1, 2])
    s = 2 * observation - 1
    weights = Weights(state.x_network.online, state.q_network.online, ())
    decision = policy.greedy(weights, observation)
    assert np.array_equal(decision.parameters, policy.parameters(weights, s))
    assert np.array_equal(decision.q, policy.q_function.values(weights.q, s, decision.parameters))
    assert np.array_equal(decision.action, np.argmax(decision.q, axis=1))
    assert len(np.unique(decision.action)) > 1


@pytest.mark.parametrize("strategy", ["plain", "squashing", "selective_squashing"])
def test_hand_set_parameters_are_where_the_policy_starts(strategy) -> None:
    start = {
        "bias": BIAS,
        "weights": [
            {"parameter": 1, "feature": 2, "value": 2.5},
            {"parameter": 1, "feature": 0, "value": -1.0},
        ],
    }
    agent = learner("mpdqn", strategy, initial_parameters=start, parameters__output_std=0.0)
    weights = agent.initial(tf.constant(1), tf.constant([0.0] * 3)).online
    s = tf.constant([[0.0, 0.0, 0.0], [1.0, 0.0, 0.5]])
    x = agent.policy.parameters(weights, s)
    # 2.5 + 2.5 * 0.5 - 1.0 * 1.0 = 2.75 of [0, 10], which is -0.45.
    expected = [SCALED, [0.5, -0.45, *SCALED[2:]]]
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)


def test_without_hand_set_parameters_the_policy_starts_in_the_middle() -> None:
    for strategy in ("plain", "squashing"):
        agent = learner("mpdqn", strategy, parameters__output_std=0.0)
        weights = agent.initial(tf.constant(1), tf.constant([0.0] * 3)).online
        x = agent.policy.parameters(weights, tf.constant([[0.3, -0.2, 0.9]]))
        np.testing.assert_allclose(x, np.zeros([1, 6]), atol=1e-6)


def test_squashing_keeps_every_parameter_within_its_bounds() -> None:
    agent = learner("mpdqn", "squashing")
    state = experienced(agent)
    s = tf.random.stateless_uniform([200, 3], [1, 2], -1.0, 1.0)
    weights = state.online
    assert np.abs(agent.policy.parameters(weights, s)).max() <= 1.0
    assert np.abs(learner("mpdqn", "plain").policy.parameters(weights, s)).max() > 1.0


HAND_SET = {"bias": BIAS, "weights": [{"parameter": 4, "feature": 2, "value": 0.25}]}


@pytest.mark.parametrize("start", [None, HAND_SET], ids=["anything", "hand-set"])
@pytest.mark.parametrize("strategy", ["plain", "squashing", "selective_squashing"])
@pytest.mark.parametrize("algorithm", [name for name, each in ALGORITHMS.items() if each.own])
def test_of_some_actions_parameters_and_values_are_as_of_all(algorithm, strategy, start) -> None:
    agent = learner(algorithm, strategy, initial_parameters=start)
    policy, weights = agent.policy, experienced(agent).online
    s = tf.random.stateless_uniform([5, 3], [1, 2], -1.0, 1.0)
    actions = tf.constant([[0, 1, 2, 3], [3, 3, 3, 3], [2, 0, 2, 0], [1, 1, 1, 2], [3, 2, 1, 0]])
    x = policy.parameters(weights, s)
    some = policy.parameters(weights, s, actions)
    assert some.shape == (5, 4 * SPEC.max_size)
    blocks = tf.reshape(SPEC.take(x, actions), some.shape)
    np.testing.assert_allclose(some, blocks, rtol=1e-5, atol=1e-5)
    padding = np.asarray(policy.real(actions)) == 0
    assert not np.any(np.asarray(some)[padding])
    assert np.all(np.asarray(some)[~padding])
    q = tf.gather(policy.values(weights, s, x), actions, batch_dims=1)
    found = policy.values(weights, s, some, actions)
    np.testing.assert_allclose(found, q, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"bias": [0.0] * 5}, "initial_parameters.bias: expected 6 numbers"),
        (
            {"bias": BIAS, "weights": [{"parameter": 6, "feature": 0, "value": 1.0}]},
            r"initial_parameters.weights.0.parameter: expected an index below 6, received 6",
        ),
        (
            {"bias": BIAS, "weights": [{"parameter": 0, "feature": 3, "value": 1.0}]},
            r"initial_parameters.weights.0.feature: expected an index below 3, received 3",
        ),
    ],
)
def test_hand_set_parameters_have_to_fit(start, message) -> None:
    with pytest.raises(ValueError, match=message):
        learner(initial_parameters=start)


def test_negative_indices_are_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        InitialParameters.model_validate(
            {"bias": BIAS, "weights": [{"parameter": -1, "feature": 0, "value": 1.0}]}
        )

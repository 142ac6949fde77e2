"""EP-DQN: one network for all actions, by value, and what an action is known by."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pamdp.algorithms.epdqn import EPDQN
from pamdp.base import seeding
from pamdp.base.errors import SettingsError
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import ActionSpec
from pamdp.learning.learner import Learner
from tests.helpers import FEATURES, SPEC, bytes_of, experienced, learner

KNOWN = ((1.0, 0.0), (-1.0, 0.5), (0.0, 1.0), (1.0, 1.0))
FEATURED = ActionSpec(
    tuple(
        replace(action, features=features)
        for action, features in zip(SPEC.actions, KNOWN, strict=True)
    )
)
NETWORK = Network.model_validate(
    {"hidden": [8, 6], "output_std": None, "learning_rate": 0.1, "tau": 0.1}
)


def epdqn(**settings: Any) -> EPDQN:
    return EPDQN.model_validate({"kind": "epdqn"} | settings)


def key(number: int) -> tf.Tensor:
    return seeding.stream(tf.constant(number), "weights")


def with_biases(weights: tuple) -> tuple:
    return tf.nest.map_structure(lambda leaf: leaf + 0.1, weights)


@pytest.fixture(params=["learned", "features"])
def settings(request) -> EPDQN:
    return epdqn(embedding=request.param, size=5)


def known(settings: EPDQN, q_weights: tuple) -> np.ndarray:
    return np.asarray(q_weights[0] if settings.embedding == "learned" else KNOWN, np.float32)


def test_values_are_those_of_one_perceptron_that_is_given_the_action(settings) -> None:
    q_function = settings.q_function(NETWORK, FEATURED)
    weights = with_biases(q_function.initial(key(1), FEATURES))
    random = np.random.default_rng(2)
    s = random.normal(size=(6, FEATURES)).astype(np.float32)
    x = random.normal(size=(6, SPEC.num_parameters)).astype(np.float32)
    values = q_function.values(weights, s, tf.constant(x))
    e = known(settings, weights)
    for k, size in enumerate(SPEC.sizes):
        own = np.zeros([6, SPEC.max_size], np.float32)
        own[:, :size] = x[:, SPEC.owner == k]
        seen = np.concatenate([s, np.tile(e[k], [6, 1]), own], axis=1)
        expected = NETWORK.apply(weights[1], tf.constant(seen))[:, 0]
        np.testing.assert_allclose(values[:, k], expected, rtol=1e-5, atol=1e-5)


def test_parameters_are_those_of_one_perceptron_that_is_given_the_action(settings) -> None:
    q_weights = settings.q_function(NETWORK, FEATURED).initial(key(1), FEATURES)
    parameters = settings.parameter_network(NETWORK, FEATURED)
    weights = with_biases(parameters.initial(key(2), FEATURES))
    s = np.random.default_rng(2).normal(size=(6, FEATURES)).astype(np.float32)
    x = np.asarray(parameters.all(weights, q_weights, tf.constant(s)))
    e = known(settings, q_weights)
    for k, size in enumerate(SPEC.sizes):
        seen = np.concatenate([s, np.tile(e[k], [6, 1])], axis=1)
        expected = NETWORK.apply(weights, tf.constant(seen))[:, :size]
        np.testing.assert_allclose(x[:, SPEC.owner == k], expected, rtol=1e-5, atol=1e-5)


def test_actions_with_the_same_embedding_and_parameters_are_worth_the_same() -> None:
    alike = ActionSpec(tuple(replace(SPEC.actions[0], name=str(k), features=(1.0,)) for k in "ab"))
    q_function = epdqn(embedding="features").q_function(NETWORK, alike)
    weights = q_function.initial(key(1), FEATURES)
    s = tf.random.stateless_normal([6, FEATURES], [1, 2])
    x = tf.random.stateless_normal([6, 2], [1, 3])
    values = q_function.values(weights, s, tf.concat([x, x], axis=-1))
    np.testing.assert_array_equal(values[:, 0], values[:, 1])
    other = q_function.values(weights, s, tf.concat([x, -x], axis=-1))
    assert not np.isclose(other[:, 0], other[:, 1]).any()


def test_only_a_learned_embedding_is_part_of_the_weights() -> None:
    learned, _ = epdqn(size=300).q_function(NETWORK, SPEC).initial(key(1), FEATURES)
    assert learned.shape == (SPEC.num_actions, 300)
    features = epdqn(embedding="features").q_function(NETWORK, FEATURED)
    nothing, layers = features.initial(key(1), FEATURES)
    assert nothing == ()
    assert layers[0][0].shape[0] == FEATURES + len(KNOWN[0]) + SPEC.max_size


@pytest.mark.parametrize("size", [2, 8, 300])
def test_two_actions_are_as_far_apart_whatever_the_size_of_the_embedding(size) -> None:
    many = ActionSpec(tuple(replace(SPEC.actions[0], name=str(k)) for k in range(400)))
    e, _ = epdqn(size=size).q_function(NETWORK, many).initial(key(1), FEATURES)
    squares = np.sum(np.square(e[::2] - e[1::2]), axis=1)
    assert np.mean(squares) == pytest.approx(2 * 2**2, rel=0.2)


def test_the_embedding_moves_with_the_q_network_alone() -> None:
    """The parameter network's ascent holds it fixed, as it holds all of the Q-network."""
    agents = [learner("epdqn", objective=objective) for objective in ("sum", "td")]
    one, other = (agent.learn(experienced(agent)) for agent in agents)
    assert bytes_of(one.x_network) != bytes_of(other.x_network)
    assert bytes_of(one.q_network) == bytes_of(other.q_network)
    before = experienced(agents[0]).q_network.online[0]
    assert np.all(one.q_network.online[0] != before)


@pytest.mark.parametrize(
    "other", [{"size": 4}, {"size": 9}, {"embedding": "features"}], ids=["4", "9", "features"]
)
def test_every_setting_has_an_effect(other) -> None:
    choices = []
    for settings in (epdqn(), epdqn(**other)):
        agent = learner("epdqn", spec=FEATURED)
        policy = replace(
            agent.policy,
            q_function=settings.q_function(agent.settings.q, FEATURED),
            parameter_network=settings.parameter_network(agent.settings.parameters, FEATURED),
        )
        state = Learner(agent.settings, policy).initial(tf.constant(1), tf.fill([FEATURES], 0.3))
        choices.append(policy.greedy(state.online, tf.fill([1, FEATURES], 0.3)))
    assert not np.isclose(choices[0].q, choices[1].q).any()
    assert not np.isclose(choices[0].parameters, choices[1].parameters).any()


def test_features_that_an_environment_does_not_give_are_asked_for() -> None:
    for made in (
        epdqn(embedding="features").q_function,
        epdqn(embedding="features").parameter_network,
    ):
        with pytest.raises(SettingsError, match=r"algorithm.embedding: expected an environment"):
            made(NETWORK, SPEC)

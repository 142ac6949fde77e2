"""PA-DDPG by value: decisions, targets and both updates, worked out anew in NumPy."""

from typing import Any

import numpy as np
import pytest

from pamdp.base.lazy import tf
from pamdp.learning.learner import Learner
from pamdp.learning.state import LearnerState, Transition
from pamdp.learning.updates import BETA_1
from tests.helpers import FEATURES, SPEC, experienced, learner, minibatch
from tests.unit.by_hand import Perceptron, inverted, joined

K, P = SPEC.num_actions, SPEC.num_parameters
OBSERVATION = tf.constant([0.2, 0.9, 0.4])
STEPS = 300


def paddpg(strategy: Any = "inverting", **changes: Any) -> Learner:
    return learner("paddpg", strategy, gradient_clip=None, **changes)


def gradients(agent: Learner, state: LearnerState, network: str) -> list[np.ndarray]:
    """Of an update, read back from Adam's first moments."""
    first = getattr(agent.learn(state), network).moments.first
    return [np.asarray(moment) / (1 - BETA_1) for moment in tf.nest.flatten(first)]


def compare(received: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(received, expected, strict=True):
        assert np.any(b)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.max(np.abs(b)))


def target(agent: Learner, state: LearnerState) -> np.ndarray:
    """`y = r + gamma Q'(s', mu'(s'))`."""
    batch = minibatch(agent, state)
    actor = Perceptron.of(state.x_network.target)
    critic = Perceptron.of(state.q_network.target)
    s = np.asarray(batch.s_t, np.float64)
    value = critic(joined(s, actor(s)))[:, 0].astype(np.float32)
    return np.asarray(batch.r_t + agent.settings.gamma * batch.continues_t * value)


def test_the_critic_sees_state_scores_and_parameters_and_has_one_value() -> None:
    state = experienced(paddpg())
    (kernel, _), (last, _) = state.q_network.online
    assert kernel.shape[0] == FEATURES + K + P
    assert last.shape[0] == 1
    assert state.x_network.online[-1][0].shape[0] == K + P


def test_the_action_is_the_highest_of_the_actors_scores() -> None:
    agent = paddpg()
    weights = experienced(agent).online
    observations = tf.random.stateless_uniform([60, FEATURES], [1, 2])
    decision = agent.policy.greedy(weights, observations)
    output = Perceptron.of(weights.x)(2 * np.asarray(observations, np.float64) - 1)
    np.testing.assert_allclose(decision.q, output[:, :K], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(decision.parameters, output[:, K:], rtol=1e-4, atol=1e-5)
    assert np.array_equal(decision.action, np.argmax(output[:, :K], axis=1))
    assert len(set(np.asarray(decision.action))) > 1


def test_the_target_is_ddpgs() -> None:
    agent = paddpg()
    state = experienced(agent)
    found = agent.targets.sample(agent.replay, state).target
    np.testing.assert_allclose(found, target(agent, state), rtol=1e-4, atol=1e-5)


def test_the_critic_descends_the_squared_error_of_what_was_done() -> None:
    agent = paddpg(td_loss="squared")
    state = experienced(agent)
    batch, critic = minibatch(agent, state), Perceptron.of(state.q_network.online)
    seen = joined(batch.s_tm1, batch.x_tm1)
    error = target(agent, state) - critic(seen)[:, 0]
    expected = critic.by_weights(seen, -2 * error[:, None] / len(error))
    compare(gradients(agent, state, "q_network"), expected)


@pytest.mark.parametrize("strategy", ["plain", "inverting"])
@pytest.mark.parametrize("objective", ["sum", "indexed", "greedy"])  # there is one value
def test_the_actor_ascends_the_value_through_scores_and_parameters(strategy, objective) -> None:
    agent = paddpg(strategy, objective=objective)
    state = experienced(agent)
    s = np.asarray(minibatch(agent, state).s_tm1, np.float64)
    actor, critic = (Perceptron.of(n.online) for n in (state.x_network, state.q_network))
    output = actor(s)
    slope = critic.by_input(joined(s, output), np.full([len(s), 1], 1 / len(s)))[:, FEATURES:]
    assert (np.abs(output[:, :K]) > 1).any()  # scores out of bounds, which inverting turns round
    ascent = inverted(slope, output) if strategy == "inverting" else slope
    compare(gradients(agent, state, "x_network"), actor.by_weights(s, -ascent))


# -- Exploration -----------------------------------------------------------------------------------


def acts(agent: Learner, state: LearnerState) -> tuple[np.ndarray, np.ndarray]:
    """What many steps would choose, and what the environment would be given: [N, K + P], [N]."""
    numbers = []
    for step in range(STEPS):
        acted = agent.act(state._replace(step=tf.constant(step)), OBSERVATION)
        numbers.append(np.asarray(acted.choice.parameters))
    x = np.stack(numbers)
    actions, parameters = agent.policy.choices.executed(tf.zeros([STEPS], tf.int32), tf.constant(x))
    np.testing.assert_array_equal(parameters, x[:, K:])
    return x, np.asarray(actions)


@pytest.mark.parametrize("kind", ["uniform", "ornstein_uhlenbeck"])
def test_a_random_action_has_random_scores(kind) -> None:
    """And random parameters, where they are explored so (Hausknecht & Stone 2016)."""
    agent = paddpg(exploration={"kind": kind}, epsilon__start=1.0, epsilon__end=1.0)
    state = experienced(agent)
    x, actions = acts(agent, state)
    assert np.array_equal(actions, np.argmax(x[:, :K], axis=1))
    shares = np.bincount(actions, minlength=K) / STEPS
    np.testing.assert_allclose(shares, 1 / K, atol=5 * (K * STEPS) ** -0.5)
    assert np.abs(x[:, :K]).max() <= 1.001  # noise is 1e-4
    assert np.std(x[:, :K]) == pytest.approx(3**-0.5, rel=0.1)
    output = agent.policy.choose(state.online, OBSERVATION[None]).parameters[0, K:]
    if kind == "uniform":
        assert np.std(x[:, K:]) == pytest.approx(3**-0.5, rel=0.1)
    else:
        np.testing.assert_allclose(x[:, K:], np.tile(output, [STEPS, 1]), atol=1e-3)


def test_without_exploration_the_actors_output_is_done_and_remembered() -> None:
    agent = paddpg(epsilon__start=0.0, epsilon__end=0.0)
    state = agent.initial(tf.constant(1), OBSERVATION)
    output = Perceptron.of(state.x_network.online)(2 * np.asarray(OBSERVATION)[None] - 1.0)[0]
    np.testing.assert_allclose(state.choice.parameters, output, rtol=1e-4, atol=1e-5)
    no = tf.constant(False)
    state = agent.advance(state, Transition(tf.constant(1.0), no, no, OBSERVATION, OBSERVATION))
    row = np.asarray(state.replay[0])
    np.testing.assert_allclose(row[FEATURES : FEATURES + K + P], output, rtol=1e-4, atol=1e-5)


def test_hand_set_parameters_are_where_it_starts_with_all_scores_alike() -> None:
    bias = [0.5, 2.5, 0.25, 0.0, 2.75, -1.0]
    agent = paddpg("plain", initial_parameters={"bias": bias}, parameters__output_std=0.0)
    weights = agent.initial(tf.constant(1), OBSERVATION).online
    decision = agent.policy.greedy(weights, OBSERVATION[None])
    np.testing.assert_allclose(SPEC.unscale(decision.parameters)[0], bias, atol=1e-5)
    assert not np.any(decision.q)

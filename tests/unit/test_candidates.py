"""Candidates: targets by hand, what is remembered, and the learner of all actions as a limit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base import seeding
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.base.strategy import Context, Strategy
from pamdp.learning.learner import Learner
from pamdp.learning.state import LearnerState, Transition
from pamdp.learning.updates import BETA_1
from pamdp.strategies.members import MEMBERS
from tests.helpers import CHAIN, FEATURES, SPEC, bytes_of, experienced, learner, minibatch, params

OWN = [kind for kind, algorithm in ALGORITHMS.items() if algorithm.own]
N_STEP = {"steps": 3, "beta": 0.5}
STRATEGIES: dict[str, Any] = {kind: {"kind": kind} for kind in MEMBERS} | params()["gradients"]
TWO, NONE, THREE, ONE = range(SPEC.num_actions)


def sampled(algorithm: str = "mpdqn", candidates: int | None = 2, **changes: Any) -> Learner:
    changes = {"objective": "indexed", "gradient_clip": None} | changes
    return learner(algorithm, candidates=candidates, **changes)


def gradients(agent: Learner) -> list[np.ndarray]:
    """Those of one update of both networks, read back from Adam's first moments."""
    after = agent.learn(experienced(agent))
    networks = after.q_network, after.x_network
    first = tf.nest.flatten([network.moments.first for network in networks])
    return [np.asarray(moment) / (1 - BETA_1) for moment in first]


def of_one_action(state: LearnerState, action: int) -> LearnerState:
    """The state with this action taken in every transition that is remembered."""
    memory = np.array(state.replay)
    memory[:, FEATURES + SPEC.max_size] = action
    return state._replace(replay=tf.constant(memory))


# -- All actions are candidates --------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", OWN)
@pytest.mark.parametrize("candidates", [SPEC.num_actions, 100])
@pytest.mark.parametrize("n_step", [None, N_STEP], ids=["one", "three"])
def test_of_all_actions_the_targets_are_those_without_candidates(
    algorithm, candidates, n_step
) -> None:
    every, exact = (sampled(algorithm, number, n_step=n_step) for number in (candidates, None))
    one, other = (
        agent.targets.sample(agent.replay, experienced(agent)) for agent in (every, exact)
    )
    np.testing.assert_array_equal(one.target, other.target)
    assert one.found == ()
    assert not every.replay.greedy  # there is nothing to remember


@pytest.mark.parametrize("algorithm", OWN)
@pytest.mark.parametrize("objective", ["indexed", "weighted_indexed", "td"])
@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_of_all_actions_the_gradients_are_those_without_candidates(
    algorithm, objective, strategy
) -> None:
    changes = {"strategy": STRATEGIES[strategy], "objective": objective}
    pairs = (gradients(sampled(algorithm, number, **changes)) for number in (4, None))
    for a, b in zip(*pairs, strict=True):
        assert np.any(b)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.max(np.abs(b)))


# -- Some are --------------------------------------------------------------------------------------


def draws(agent: Learner, state: LearnerState, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Which transitions the next update takes, and the actions that it draws for each."""
    size = agent.settings.batch_size
    keys = (seeding.stream(state.seed, s, state.step) for s in (Stream.REPLAY, Stream.CANDIDATES))
    rows = seeding.integers(next(keys), (size,), min(int(state.step), agent.settings.replay_size))
    drawn = seeding.integers(next(keys), (size, number), SPEC.num_actions)
    return np.asarray(rows), np.asarray(drawn)


def best(
    agent: Learner, state: LearnerState, s: tf.Tensor, rows: np.ndarray, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values and actions of the best candidates, picked from the target values of all actions."""
    policy, weights = agent.policy, state.target
    q = np.asarray(policy.values(weights, s, policy.parameters(weights, s)))
    remembered = np.asarray(state.replay)[rows, -1].astype(int)
    values, actions = [], []
    for row, first, others in zip(q, remembered, drawn, strict=True):
        action = max([first, *others], key=lambda k: row[k])
        values.append(row[action])
        actions.append(action)
    return np.array(values), np.array(actions)


@pytest.mark.parametrize("algorithm", OWN)
@pytest.mark.parametrize("candidates", [2, 3])
def test_the_target_is_the_best_of_what_is_remembered_and_of_what_is_drawn(
    algorithm, candidates
) -> None:
    agent = sampled(algorithm, candidates, batch_size=64)
    state = experienced(agent)
    batch = minibatch(agent, state)
    rows, drawn = draws(agent, state, candidates - 1)
    value, actions = best(agent, state, batch.s_t, rows, drawn)
    found = agent.targets.sample(agent.replay, state)
    expected = batch.r_t + agent.settings.gamma * batch.continues_t * value
    np.testing.assert_allclose(found.target, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.found.indices, rows)
    np.testing.assert_array_equal(found.found.actions, actions)
    # It is not the best of all, nor always what was remembered, nor always what was drawn.
    whole, _ = best(agent, state, batch.s_t, rows, np.tile(np.arange(4), [64, 1]))
    assert np.mean(whole > value) > 0.1
    remembered = np.asarray(state.replay)[rows, -1]
    assert 0.1 < np.mean(actions == remembered) < 0.9


def test_other_steps_and_seeds_draw_other_candidates() -> None:
    agent = sampled(candidates=3)
    state = experienced(agent)
    others = state._replace(step=state.step + 1), state._replace(seed=state.seed + 1)
    one, *rest = (
        bytes_of(agent.targets._candidates(agent.replay, each, tf.range(16)))
        for each in (state, *others)
    )
    assert one not in rest


# -- What is remembered ----------------------------------------------------------------------------


@pytest.mark.parametrize("n_step", [None, N_STEP], ids=["one", "three"])
def test_an_update_remembers_the_best_candidates(n_step) -> None:
    """Of the transitions of the minibatch, and of those at which n steps end."""
    agent = sampled(n_step=n_step)
    state = experienced(agent)
    rows, drawn = draws(agent, state, 1)
    s = minibatch(agent, state).s_t
    expected = np.array(state.replay)
    expected[rows, -1] = best(agent, state, s, rows, drawn)[1]
    if n_step is not None:
        ahead = agent.replay.ahead(state.replay, tf.constant(rows), state.step - 1, 3, 0.9)
        final = np.asarray(ahead.final)
        assert not np.array_equal(final, rows)
        expected[final, -1] = best(agent, state, 2 * ahead.s - 1, final, drawn)[1]
    assert not np.array_equal(expected, state.replay)
    np.testing.assert_array_equal(agent.learn(state).replay, expected)


def test_the_next_update_takes_what_the_last_one_remembered() -> None:
    """So the targets of a state that stays can only rise, to those of all actions."""
    agent = sampled(batch_size=64)
    state = experienced(agent)
    networks = {"q_network": state.q_network, "x_network": state.x_network}
    for step in range(200):
        state = agent.learn(state)._replace(step=state.step + 1, **networks)
        if step == 0:
            early = state
    policy, s = agent.policy, 2 * state.replay[:, -1 - FEATURES : -1] - 1
    q = policy.values(state.target, s, policy.parameters(state.target, s))
    wanted = np.argmax(q, axis=1)
    assert np.mean(early.replay[:, -1] == wanted) < 0.8
    np.testing.assert_array_equal(state.replay[:, -1], wanted)


def step(ended: bool, number: float) -> Transition:
    observation = tf.fill([FEATURES], number)
    return Transition(
        tf.constant(1.0), tf.constant(False), tf.constant(ended), observation, observation
    )


@pytest.mark.parametrize("transitions", [1, 2, 8, 11])
def test_acting_writes_the_greedy_action_to_the_last_transition(transitions) -> None:
    """Whatever action was explored; 8 transitions are kept, after which the memory goes round."""
    agent = sampled(replay_size=8, batch_size=8, learning_starts=100, epsilon__start=1.0)
    state = agent.initial(tf.constant(1), tf.fill([FEATURES], 0.5))
    greedy = []
    for number in np.linspace(0.0, 1.0, transitions, dtype=np.float32):
        state = agent.advance(state, step(number > 0.8, float(number)))
        decision = agent.policy.greedy(state.online, state.observation[None])
        greedy.append(int(decision.action[0]))
    assert transitions < 8 or len(set(greedy)) > 1
    expected = dict.fromkeys(range(min(transitions, 8)), 0) | {
        number % 8: action for number, action in enumerate(greedy)
    }
    found = np.asarray(state.replay)[: len(expected), -1]
    assert found.tolist() == list(expected.values())


def test_a_new_transition_does_not_take_over_what_the_old_one_remembered() -> None:
    agent = sampled(replay_size=8, batch_size=8, learning_starts=100)
    state = agent.initial(tf.constant(1), tf.fill([FEATURES], 0.5))
    full = state._replace(step=tf.constant(8), replay=state.replay + 3.0)
    memory = agent.remember(full, step(False, 0.2)).replay
    assert np.asarray(memory)[:, -1].tolist() == [0.0] + [3.0] * 7
    assert np.asarray(memory)[0, -1 - FEATURES : -1].tolist() == pytest.approx([0.2] * FEATURES)


def test_a_row_keeps_the_parameters_of_its_own_action_and_takes_less_room() -> None:
    agent, exact = (sampled(candidates=number) for number in (2, None))
    assert agent.replay.row == 2 * FEATURES + SPEC.max_size + 4 + 1
    assert exact.replay.row == 2 * FEATURES + SPEC.num_parameters + 4
    state = agent.initial(tf.constant(1), tf.fill([FEATURES], 0.5))
    for action, own in ((TWO, [0, 1, 0]), (NONE, [0, 0, 0]), (THREE, [2, 3, 4]), (ONE, [5, 0, 0])):
        parameters = tf.range(float(SPEC.num_parameters))
        choice = state.choice._replace(action=tf.constant(action), parameters=parameters)
        row = agent.remember(state._replace(choice=choice), step(False, 0.1)).replay[0]
        assert np.asarray(row[FEATURES : FEATURES + 4]).tolist() == [*own, action]


# -- Padding ---------------------------------------------------------------------------------------


class Recording(Strategy):
    """Keeps the contexts that it is given."""

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        CONTEXTS.append((ascent, context))
        return ascent


CONTEXTS: list[tuple[tf.Tensor, Context]] = []


@pytest.mark.parametrize("algorithm", OWN)
def test_strategies_are_told_which_parameters_are_real(algorithm) -> None:
    agent = sampled(algorithm)
    agent = Learner(agent.settings, replace(agent.policy, strategy=Recording(kind="recording")))
    state = experienced(agent)
    CONTEXTS.clear()
    agent.learn(state)
    ((ascent, context),) = CONTEXTS
    batch = minibatch(agent, state)
    assert ascent.shape == context.parameters.shape == (16, SPEC.max_size)
    assert np.asarray(context.low).tolist() == [-1.0] * SPEC.max_size
    assert np.asarray(context.high).tolist() == [1.0] * SPEC.max_size
    np.testing.assert_array_equal(context.taken, SPEC.real[np.asarray(batch.a_tm1)])
    x = agent.policy.parameters(state.online, batch.s_tm1)
    own = SPEC.take(x, batch.a_tm1)
    np.testing.assert_allclose(context.parameters, own, rtol=1e-5, atol=1e-6)
    assert 0.1 < np.mean(context.taken) < 0.9


@pytest.mark.parametrize("algorithm", OWN)
def test_shares_are_of_real_parameters_alone(algorithm) -> None:
    agent = sampled(algorithm, batch_size=400, replay_size=400)
    state = experienced(agent)
    after = agent.learn(state).statistics
    batch = minibatch(agent, state)
    x = np.asarray(agent.policy.parameters(state.online, batch.s_tm1))
    own = np.abs(x[np.asarray(SPEC.mask(batch.a_tm1)) > 0])
    assert float(after.clipped) == pytest.approx(np.mean(own > 1.0), rel=1e-5)
    assert float(after.near_bound) == pytest.approx(np.mean(own > 0.98), rel=1e-5)
    assert 0 < np.mean(own > 1.0) < np.mean(own > 0.98) < 1


@pytest.mark.parametrize("algorithm", OWN)
def test_an_action_without_parameters_moves_none(algorithm) -> None:
    agent = sampled(algorithm)
    after = agent.learn(of_one_action(experienced(agent), NONE))
    for moment in tf.nest.flatten(after.x_network.moments.first):
        assert not np.any(moment)
    assert any(np.any(leaf) for leaf in tf.nest.flatten(after.q_network.moments.first))
    assert float(after.statistics.clipped) == float(after.statistics.near_bound) == 0.0


@pytest.mark.parametrize("objective", ["indexed", "td"])
def test_an_update_moves_the_parameters_of_the_sampled_actions_alone(objective) -> None:
    agent = sampled("mpdqn", objective=objective)
    for action in range(SPEC.num_actions):
        after = agent.learn(of_one_action(experienced(agent), action))
        moved = np.any(after.x_network.moments.first[-1][0], axis=1)
        assert moved.tolist() == (SPEC.owner == action).tolist()


@pytest.mark.parametrize("algorithm", OWN)
@pytest.mark.parametrize("strategy", ["plain", "squashing", "reversal_inverting", CHAIN])
def test_nothing_depends_on_what_stands_in_the_padding(algorithm, strategy, monkeypatch) -> None:
    agent = sampled(algorithm, strategy=strategy)
    state = experienced(agent)
    expected = agent.learn(state)
    network = type(agent.policy.parameter_network)
    chosen, littered = network.chosen, []

    def with_litter(self, weights, q_weights, s, actions):
        padding = 1.0 - tf.gather(SPEC.real, actions)
        littered.append(float(tf.reduce_sum(padding)))
        return chosen(self, weights, q_weights, s, actions) + 50.0 * padding

    monkeypatch.setattr(network, "chosen", with_litter)
    assert bytes_of(agent.learn(state)) == bytes_of(expected)
    assert sum(littered) > 0

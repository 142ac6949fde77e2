"""Probe environments: each isolates one faculty, and its failure names the broken one.

They are one environment with other floats, so that each algorithm is compiled once for all.
"""

import gymnasium
import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base.component import with_floats
from pamdp.bridge.adapter import FunctionalEnv
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.learning.cell import Cell
from pamdp.learning.compiled import CompiledLoop, CompiledPrograms
from pamdp.learning.hosted import HostLoop
from pamdp.learning.learner_settings import NStep
from pamdp.learning.policy import Decision
from tests.helpers import differing
from tests.learning.probe import GAMMA, LIMIT, STEPS, FarAway, Probe, decisions, learned, probe


@pytest.fixture(params=list(ALGORITHMS))
def algorithm(request) -> str:
    return request.param


def values_each(decision: Decision) -> bool:
    """Whether each action has a value; PA-DDPG has one, of what it does."""
    return decision.q.shape[1] == decision.parameters.shape[1]


def test_value_of_a_constant_reward(algorithm) -> None:
    subject = probe(algorithm, always=1.0)
    q = decisions(subject, learned(subject), (-1, 0), (1, 0)).q
    np.testing.assert_allclose(q, 1, atol=0.05, err_msg="value: rewards are not learned")


def test_value_of_a_reward_after_two_actions(algorithm) -> None:
    subject = probe(algorithm, at_end=1.0, duration=2.0)
    q = decisions(subject, learned(subject), (-1, 0), (1, 0), (-1, 1), (1, 1)).q
    np.testing.assert_allclose(q[2:], 1, atol=0.05, err_msg="value: the end is not learned")
    np.testing.assert_allclose(
        q[:2], GAMMA, atol=0.05, err_msg="discount: the value of what follows is not passed on"
    )


def test_value_across_the_time_limit(algorithm) -> None:
    """Nothing ends here but the time: the sum of all rewards is 1 / (1 - gamma)."""
    subject = probe(algorithm, always=1.0, duration=1e6)
    state = learned(subject)
    q = decisions(subject, state, (-1, 0), (1, 0), (-1, 1), (1, 1)).q
    np.testing.assert_allclose(
        q, 1 / (1 - GAMMA), atol=0.1, err_msg="truncation: the time limit is taken for an end"
    )
    sums = state.learner.statistics
    assert float(sums.episode_length) == LIMIT * float(sums.episodes)
    assert float(sums.episode_return) == LIMIT * float(sums.episodes)


def test_choice_of_the_action(algorithm) -> None:
    subject = probe(algorithm, action=1.0)
    decision = decisions(subject, learned(subject), (-1, 0), (1, 0))
    assert decision.action.tolist() == [0, 1], "action choice: the better action is not chosen"
    expected = np.eye(2) if values_each(decision) else np.ones([2, 1])
    np.testing.assert_allclose(
        decision.q, expected, atol=0.1, err_msg="action choice: actions are not told apart"
    )


def test_choice_of_the_parameters(algorithm) -> None:
    subject = probe(algorithm, parameter=1.0)
    decision = decisions(subject, learned(subject), (-1, 0), (1, 0))
    x, expected = decision.parameters, np.array([[-0.5, -0.5], [0.5, 0.5]])  # left and right
    if not values_each(decision):  # then those of the other action are worth nothing
        x, expected = x[[0, 1], decision.action], expected[:, 0]
    np.testing.assert_allclose(
        x,
        expected,
        atol=0.3,
        err_msg="parameter choice: the parameter network does not climb to the best parameters",
    )


def test_choice_of_both(algorithm) -> None:
    subject = probe(algorithm, action=1.0, parameter=1.0)
    decision = decisions(subject, learned(subject), (-1, 0), (1, 0))
    assert decision.action.tolist() == [0, 1], "action choice: fails beside parameter choice"
    chosen = decision.parameters[[0, 1], decision.action]
    np.testing.assert_allclose(
        chosen, [-0.5, 0.5], atol=0.3, err_msg="parameter choice: fails beside action choice"
    )


def test_greedy_episodes_of_a_probe() -> None:
    """Rollouts: returns, lengths and successes, ended by the task or by the time limit."""
    subject = probe("mpdqn", action=1.0)
    loop = CompiledLoop(subject)
    episodes = loop.evaluate(loop.weights(learned(subject)), 1, 0, 50)
    np.testing.assert_array_equal(episodes.returns, np.ones(50))
    np.testing.assert_array_equal(episodes.lengths, np.ones(50))
    np.testing.assert_array_equal(episodes.successes, np.ones(50))

    endless = probe("mpdqn", always=1.0, duration=1e6)
    loop = CompiledLoop(endless)
    episodes = loop.evaluate(loop.weights(loop.initial(1)), 1, 0, 50)
    np.testing.assert_array_equal(episodes.returns, np.full(50, LIMIT))
    np.testing.assert_array_equal(episodes.lengths, np.full(50, LIMIT))
    np.testing.assert_array_equal(episodes.successes, np.zeros(50))


def test_greedy_episodes_of_different_lengths() -> None:
    """What a copy does after its end does not count, while others still run."""
    subject = probe("mpdqn", always=1.0, longer=1.0)
    loop = CompiledLoop(subject)
    episodes = loop.evaluate(loop.weights(loop.initial(1)), 1, 0, 50)
    assert set(episodes.lengths.tolist()) == {1.0, 2.0}
    np.testing.assert_array_equal(episodes.returns, episodes.lengths)
    np.testing.assert_array_equal(episodes.successes, np.ones(50))


def test_both_loops_agree_bit_for_bit_on_random_starts_and_both_kinds_of_ends() -> None:
    """On the left the task ends after two actions, on the right only the time limit does it."""
    floats = {"duration": 2.0, "longer": 1e6, "always": 0.1, "action": 1.0, "parameter": 1.0}
    subject, name = probe("mpdqn", **floats), Probe.gymnasium_id
    gymnasium.register(name, lambda **_: FunctionalEnv(Probe(**floats)), max_episode_steps=LIMIT)
    task = Gymnasium(kind="gymnasium", id=name)
    compiled, host = CompiledLoop(subject), HostLoop(subject.model_copy(update={"task": task}))
    one = compiled.run(compiled.initial(1), 60).learner
    two = host.run(host.initial(1), 60).learner
    assert set(differing(one, two)) <= {"running_return", "statistics"}
    np.testing.assert_allclose(one.statistics, two.statistics, rtol=1e-5)
    continues = np.asarray(one.replay)[:60, -4]
    assert 5 < 60 - continues.sum() < float(one.statistics.episodes) - 5


def ahead(beta: float, floats: dict[str, float], **task: float) -> Cell:
    """A probe of two actions, learned with returns of two steps, all of them remembered."""
    subject = probe("mpdqn", duration=2.0, **task)
    changes = {"n_step": NStep(steps=2, beta=beta), "replay_size": STEPS}
    learner = subject.learner.model_copy(update=changes)
    return with_floats(subject.model_copy(update={"learner": learner}), floats)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_value_of_two_steps_of_what_was_done(beta) -> None:
    """Actions are random, so the second one earns a half; the best one would earn 1."""
    random = {"learner.epsilon.start": 1.0, "learner.epsilon.end": 1.0}
    subject = ahead(beta, random, action=1.0)
    q = decisions(subject, learned(subject), (-1, 0), (1, 0), (-1, 1), (1, 1)).q
    np.testing.assert_allclose(q[2:], np.eye(2), atol=0.1, err_msg="n-step: the end is passed")
    following = GAMMA * (beta * 0.5 + (1 - beta) * 1.0)
    np.testing.assert_allclose(
        q[:2], np.eye(2) + following, atol=0.1, err_msg="n-step: beta does not mix the returns"
    )


def test_a_return_of_two_steps_needs_no_value_in_between() -> None:
    """The target networks never move, so that the reward at the end gets no further than n."""
    still = {"learner.q.tau": 0.0, "learner.parameters.tau": 0.0}
    values = {}
    for beta in (0.0, 1.0):
        subject = ahead(beta, still, at_end=1.0)
        values[beta] = decisions(subject, learned(subject), (-1, 0), (1, 0), (-1, 1), (1, 1)).q
        np.testing.assert_allclose(values[beta][2:], 1, atol=0.05)
    np.testing.assert_allclose(
        values[1.0][:2], GAMMA, atol=0.05, err_msg="n-step: what was earned later is not seen"
    )
    assert np.abs(values[0.0][:2] - GAMMA).max() > 0.2


def test_values_of_two_steps_across_the_time_limit_in_one_compilation() -> None:
    subject = ahead(1.0, {"task.duration": 1e6}, always=1.0)
    q = decisions(subject, learned(subject), (-1, 0), (1, 0), (-1, 1), (1, 1)).q
    np.testing.assert_allclose(
        q, 1 / (1 - GAMMA), atol=0.1, err_msg="n-step: the time limit is taken for an end"
    )
    assert (
        CompiledPrograms.of(subject).traces["run"] == 1
    )  # all values of beta and of the other floats


def test_observations_without_bounds() -> None:
    """Learned by their moments, evaluated by the same, and lost without them."""
    subject = probe("mpdqn").model_copy(update={"task": FarAway(action=1.0)})
    loop, state = CompiledLoop(subject), learned(subject)
    decision = decisions(subject, state, (960.0, 0.0), (1040.0, 0.0))
    assert decision.action.tolist() == [0, 1], "moments: sides are not told apart"
    np.testing.assert_allclose(decision.q, np.eye(2), atol=0.1)
    weights = loop.weights(state)
    assert float(weights.observed.count) == STEPS + 1
    np.testing.assert_allclose(weights.observed.mean, [1000.0, 0.0], atol=3)
    np.testing.assert_array_equal(loop.evaluate(weights, 1, 0, 50).returns, np.ones(50))
    shifted = weights.observed._replace(mean=weights.observed.mean + 400.0)
    lost = loop.evaluate(weights._replace(observed=shifted), 1, 0, 50).returns
    assert set(lost.tolist()) == {0.0, 1.0}  # it sees the left side everywhere


def test_one_compilation_served_all_probes(algorithm) -> None:
    subject = probe(algorithm)
    CompiledLoop(subject).run(CompiledLoop(subject).initial(1), 1)
    assert CompiledPrograms.of(subject).traces["run"] == 1

"""Targets that look several steps ahead: by hand, and what their settings mean."""

from typing import Any

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base import seeding
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.learning.learner import Learner
from pamdp.learning.state import LearnerState, Transition
from tests.helpers import experienced, learner

FIRST, FRESH = [0.2, 0.9, 0.4], [0.0, 0.0, 0.0]
GOES_ON, TERMINATED, TRUNCATED = (False, False), (True, True), (False, True)
REWARDS, VALUE, GAMMA = (1.0, 2.0, 4.0), 12.0, 0.5


def n_step(steps: int, beta: float, algorithm: str = "mpdqn", **changes: Any) -> Learner:
    """A learner that has learned nothing when these tests look at its targets."""
    changes = {"gamma": GAMMA, "learning_starts": 50} | changes
    return learner(algorithm, n_step={"steps": steps, "beta": beta}, **changes)


def remembering(agent: Learner, *kinds: tuple[bool, bool], value: float = VALUE) -> LearnerState:
    """The state after some transitions: (terminated, ended), rewards in order, observations n/10.

    The value of everything is `value`, or the first feature if that is None.
    """
    state = agent.initial(tf.constant(1), tf.constant(FIRST))
    for n, (terminated, ended) in enumerate(kinds):
        following = tf.fill([3], 0.6 + n / 10)
        state = agent.advance(
            state,
            Transition(
                tf.constant(REWARDS[n]),
                tf.constant(terminated),
                tf.constant(ended),
                following,
                tf.constant(FRESH) if ended else following,
            ),
        )
    *zeros, bias = map(tf.zeros_like, tf.nest.flatten(state.q_network.target))
    target = tf.nest.pack_sequence_as(state.q_network.target, [*zeros, bias + value])
    return state._replace(q_network=state.q_network._replace(target=target))


def targets(agent: Learner, state: LearnerState) -> dict[float, float]:
    """The target of each transition that is in a minibatch, by its reward."""
    batch, target, _ = agent.targets.sample(agent.replay, state)
    found = dict(zip(batch.r_t.numpy().tolist(), target.numpy().tolist(), strict=True))
    assert set(found) == set(REWARDS)
    return found


# Of one step: 1 + 6, 2 + 6 and 4 + 6. Of two, where nothing ends: 1 + 1 + 3, 2 + 2 + 3, and of the
# newest transition 4 + 6 again.
@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
@pytest.mark.parametrize(
    ("second", "beta", "expected"),
    [
        (GOES_ON, 0.0, (7, 8, 10)),
        (GOES_ON, 1.0, (5, 7, 10)),
        (GOES_ON, 0.25, (6.5, 7.75, 10)),
        (TERMINATED, 0.0, (7, 2, 10)),
        (TERMINATED, 1.0, (2, 2, 10)),
        (TERMINATED, 0.25, (5.75, 2, 10)),
        (TRUNCATED, 0.0, (7, 8, 10)),
        (TRUNCATED, 1.0, (5, 8, 10)),
        (TRUNCATED, 0.25, (6.5, 8, 10)),
    ],
)
def test_targets_of_two_steps_by_hand(algorithm, second, beta, expected) -> None:
    agent = n_step(2, beta, algorithm)
    state = remembering(agent, GOES_ON, second, GOES_ON)
    assert targets(agent, state) == dict(zip(REWARDS, expected, strict=True))


@pytest.mark.parametrize("steps", [3, 100])
def test_targets_to_the_end_of_the_episode_by_hand(steps) -> None:
    """As the published scripts have them: no value of anything in it where beta is 1."""
    agent = n_step(steps, 1.0)
    state = remembering(agent, GOES_ON, GOES_ON, TERMINATED)
    assert targets(agent, state) == {1.0: 1 + 1 + 1, 2.0: 2 + 2, 4.0: 4}
    mixed = targets(n_step(steps, 0.5), state)
    assert mixed == {1.0: (3 + 7) / 2, 2.0: (4 + 8) / 2, 4.0: 4}


def test_rewards_ahead_are_scaled_like_the_first() -> None:
    agent = n_step(3, 1.0, reward_scale=2.0)
    state = remembering(agent, GOES_ON, GOES_ON, TERMINATED)
    target = agent.targets.sample(agent.replay, state).target
    assert set(target.numpy().tolist()) == {6.0, 8.0}


def test_the_value_ahead_is_of_the_scaled_observation_there() -> None:
    agent = n_step(2, 1.0, gamma=1.0)
    state = remembering(agent, GOES_ON, GOES_ON, GOES_ON)
    (kernel, bias), (last, last_bias) = tf.nest.map_structure(np.zeros_like, state.q_network.target)
    kernel[0, 0] = 1.0
    last[:, 0] = 1.0  # the first scaled feature, if that is positive
    target = tf.nest.map_structure(tf.constant, ((kernel, bias), (last, last_bias)))
    q = state.q_network._replace(target=target)
    found = targets(agent, state._replace(q_network=q))
    # What followed the second transition is 0.7, the third 0.8: 0.4 and 0.6 scaled.
    assert found == pytest.approx({1.0: 3 + 0.4, 2.0: 6 + 0.6, 4.0: 4 + 0.6}, abs=1e-5)


def test_beta_goes_from_the_target_of_one_step_to_that_of_n() -> None:
    """In a memory of anything, whose values differ from row to row."""
    same: dict[str, Any] = {"gamma": 0.9, "batch_size": 64}
    one_step = learner(**same)
    state = experienced(one_step)
    found = {}
    for beta in (0.0, 0.25, 1.0):
        agent = n_step(4, beta, **same)
        found[beta] = agent.targets.sample(agent.replay, state).target.numpy()
    expected = one_step.targets.sample(one_step.replay, state).target
    np.testing.assert_array_equal(found[0.0], expected)
    assert np.mean(~np.isclose(found[0.0], found[1.0])) > 0.15  # a quarter of the rows go on
    np.testing.assert_allclose(
        found[0.25], 0.25 * found[1.0] + 0.75 * found[0.0], rtol=1e-5, atol=1e-6
    )


def test_all_of_the_n_step_target_is_what_was_earned_and_the_value_there() -> None:
    agent = n_step(4, 1.0, gamma=0.9, batch_size=64)
    state = experienced(agent)
    key = seeding.stream(state.seed, Stream.REPLAY, state.step)
    indices = seeding.integers(key, (64,), tf.constant(64))
    ahead = agent.replay.ahead(state.replay, indices, state.step - 1, 4, tf.constant(0.9))
    s = 2 * ahead.s - 1
    x = agent.policy.parameters(state.target, s)
    value = np.max(agent.policy.q_function.values(state.q_network.target, s, x), axis=1)
    expected = ahead.total + ahead.discount * value
    target = agent.targets.sample(agent.replay, state).target
    np.testing.assert_allclose(target, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_what_is_learned_is_the_n_step_target(algorithm) -> None:
    """The loss of an update, where Q is 0 everywhere and nothing was learned before."""
    agent = n_step(3, 1.0, algorithm, learning_starts=3, td_loss="squared", batch_size=600)
    state = agent.initial(tf.constant(1), tf.constant(FIRST))
    zeros = tf.nest.map_structure(tf.zeros_like, state.q_network.online)
    state = state._replace(q_network=state.q_network._replace(online=zeros, target=zeros))
    for reward in (0.0, 0.0, 8.0):
        answer = (tf.constant(FIRST),) * 2
        over = tf.constant(reward > 0)
        state = agent.advance(state, Transition(tf.constant(reward), over, over, *answer))
    # Targets 2, 4 and 8, where one step would see 0, 0 and 8; a third of the minibatch each.
    assert float(state.statistics.td_loss) == pytest.approx((4 + 16 + 64) / 3, rel=0.15)
    assert float(state.statistics.updates) == 1

"""The replay memory: what is stored, overwritten and sampled."""

import numpy as np
import pytest

from pamdp import seeding
from pamdp.agents import replay
from pamdp.lazy import tf
from tests.helpers import FEATURES, SPEC, learner, minibatch

S, P = 2, 3


def transition(number: float, action: int = 1) -> replay.Batch:
    return replay.Batch(
        s_tm1=tf.fill([S], number),
        x_tm1=tf.fill([P], number + 0.1),
        a_tm1=tf.constant(action),
        r_t=tf.constant(number + 0.2),
        continues_t=tf.constant(float(number % 2)),
        s_t=tf.fill([S], number + 0.3),
    )


def stored(count: int, capacity: int) -> tf.Tensor:
    rows = replay.empty(capacity, S, P)
    for step in range(count):
        rows = replay.store(rows, tf.constant(step), transition(float(step), action=step % 4))
    return rows


def test_what_is_stored_is_what_is_sampled() -> None:
    batch = replay.sample(stored(3, capacity=5), tf.constant([2, 0]), S, P)
    np.testing.assert_allclose(batch.s_tm1, [[2, 2], [0, 0]])
    np.testing.assert_allclose(batch.x_tm1, [[2.1] * P, [0.1] * P], rtol=1e-6)
    assert np.asarray(batch.a_tm1).tolist() == [2, 0]
    assert batch.a_tm1.dtype == tf.int32
    np.testing.assert_allclose(batch.r_t, [2.2, 0.2], rtol=1e-6)
    np.testing.assert_allclose(batch.continues_t, [0, 0])
    np.testing.assert_allclose(batch.s_t, [[2.3, 2.3], [0.3, 0.3]], rtol=1e-6)


def test_the_oldest_rows_are_overwritten() -> None:
    batch = replay.sample(stored(5, capacity=3), tf.range(3), S, P)
    assert np.asarray(batch.s_tm1)[:, 0].tolist() == [3.0, 4.0, 2.0]
    assert np.asarray(batch.a_tm1).tolist() == [3, 0, 2]


def test_large_actions_survive_as_floats() -> None:
    rows = replay.store(replay.empty(2, S, P), tf.constant(0), transition(1.0, action=1023))
    assert int(replay.sample(rows, tf.constant([0]), S, P).a_tm1[0]) == 1023


@pytest.mark.parametrize(("step", "filled"), [(1, 1), (5, 5), (8, 8), (1000, 8)])
def test_sampling_is_uniform_over_what_is_filled(step, filled) -> None:
    """Of every row the reward tells its number; -1 where nothing was stored yet."""
    agent = learner(batch_size=4000, replay_size=8)
    state = agent.initial(tf.constant(1), tf.constant([0.5] * FEATURES))
    memory = np.zeros([8, 2 * FEATURES + SPEC.num_parameters + 3], np.float32)
    reward = FEATURES + SPEC.num_parameters + 1
    memory[:, reward] = np.where(np.arange(8) < filled, np.arange(8), -1)
    state = state._replace(step=tf.constant(step), replay=tf.constant(memory))
    # The learner's own minibatch must be the helper's, or this tests nothing.
    np.testing.assert_array_equal(agent._sample(state).r_t, minibatch(agent, state).r_t)
    numbers, counts = np.unique(agent._sample(state).r_t, return_counts=True)
    assert numbers.tolist() == list(range(filled))
    expected = 4000 / filled
    assert np.abs(counts - expected).max() < 5 * expected**0.5


def test_minibatches_differ_between_steps_and_seeds() -> None:
    def draws(seed: int, step: int) -> list[int]:
        key = seeding.stream(tf.constant(seed), "replay", step)
        return np.asarray(seeding.integers(key, (32,), tf.constant(1000))).tolist()

    assert draws(1, 7) == draws(1, 7)
    assert draws(1, 7) != draws(1, 8)
    assert draws(1, 7) != draws(2, 7)

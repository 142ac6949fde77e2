"""The replay memory: what is stored, overwritten, sampled, and what followed a transition."""

import numpy as np
import pytest

from pamdp.base import seeding
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.learning.replay import Batch, Replay
from tests.helpers import FEATURES, SPEC, learner, minibatch

S, P = 2, 3


def transition(number: float, action: int = 1) -> Batch:
    return Batch(
        s_tm1=tf.fill([S], number),
        x_tm1=tf.fill([P], number + 0.1),
        a_tm1=tf.constant(action),
        r_t=tf.constant(number + 0.2),
        continues_t=tf.constant(float(number % 2)),
        ended_t=tf.constant(float(number % 3 == 0)),
        s_t=tf.fill([S], number + 0.3),
    )


def stored(count: int, capacity: int) -> tf.Tensor:
    replay = Replay(capacity, S, P)
    rows = replay.empty()
    for step in range(count):
        rows = replay.store(rows, tf.constant(step), transition(float(step), action=step % 4))
    return rows


def test_what_is_stored_is_what_is_sampled() -> None:
    batch = Replay(5, S, P).sample(stored(4, capacity=5), tf.constant([2, 0, 3]))
    np.testing.assert_allclose(batch.s_tm1, [[2, 2], [0, 0], [3, 3]])
    np.testing.assert_allclose(batch.x_tm1, [[2.1] * P, [0.1] * P, [3.1] * P], rtol=1e-6)
    assert np.asarray(batch.a_tm1).tolist() == [2, 0, 3]
    assert batch.a_tm1.dtype == tf.int32
    np.testing.assert_allclose(batch.r_t, [2.2, 0.2, 3.2], rtol=1e-6)
    np.testing.assert_allclose(batch.continues_t, [0, 0, 1])
    np.testing.assert_allclose(batch.ended_t, [0, 1, 1])
    np.testing.assert_allclose(batch.s_t, [[2.3, 2.3], [0.3, 0.3], [3.3, 3.3]], rtol=1e-6)


def test_the_oldest_rows_are_overwritten() -> None:
    batch = Replay(3, S, P).sample(stored(5, capacity=3), tf.range(3))
    assert np.asarray(batch.s_tm1)[:, 0].tolist() == [3.0, 4.0, 2.0]
    assert np.asarray(batch.a_tm1).tolist() == [3, 0, 2]


def test_large_actions_survive_as_floats() -> None:
    replay = Replay(2, S, P)
    rows = replay.store(replay.empty(), tf.constant(0), transition(1.0, action=1023))
    assert int(replay.sample(rows, tf.constant([0])).a_tm1[0]) == 1023


@pytest.mark.parametrize(("step", "filled"), [(1, 1), (5, 5), (8, 8), (1000, 8)])
def test_sampling_is_uniform_over_what_is_filled(step, filled) -> None:
    """Of every row the reward tells its number; -1 where nothing was stored yet."""
    agent = learner(batch_size=4000, replay_size=8)
    state = agent.initial(tf.constant(1), tf.constant([0.5] * FEATURES))
    memory = np.zeros_like(state.replay)
    reward = FEATURES + SPEC.num_parameters + 1
    memory[:, reward] = np.where(np.arange(8) < filled, np.arange(8), -1)
    state = state._replace(step=tf.constant(step), replay=tf.constant(memory))
    # The learner's own minibatch must be the helper's, or this tests nothing.
    rewards = agent.targets.sample(agent.replay, state).batch.r_t
    np.testing.assert_array_equal(rewards, minibatch(agent, state).r_t)
    numbers, counts = np.unique(rewards, return_counts=True)
    assert numbers.tolist() == list(range(filled))
    expected = 4000 / filled
    assert np.abs(counts - expected).max() < 5 * expected**0.5


def test_minibatches_differ_between_steps_and_seeds() -> None:
    def draws(seed: int, step: int) -> list[int]:
        key = seeding.stream(tf.constant(seed), Stream.REPLAY, step)
        return np.asarray(seeding.integers(key, (32,), tf.constant(1000))).tolist()

    assert draws(1, 7) == draws(1, 7)
    assert draws(1, 7) != draws(1, 8)
    assert draws(1, 7) != draws(2, 7)


# -- What followed a transition --------------------------------------------------------------------

GOES_ON, TERMINATED, TRUNCATED = range(3)


def memory(kinds: list[int], capacity: int, count: int | None = None) -> tuple[tf.Tensor, int]:
    """A memory and the number of its newest transition.

    Transition n brings the reward `2 ** n` and the observation `[n, -n]`, and is of the kind
    `kinds[n % len(kinds)]`.
    """
    replay, count = Replay(capacity, S, P), len(kinds) if count is None else count
    rows = replay.empty()
    for n in range(count):
        kind = kinds[n % len(kinds)]
        row = transition(0.0)._replace(
            r_t=tf.constant(2.0**n),
            continues_t=tf.constant(float(kind != TERMINATED)),
            ended_t=tf.constant(float(kind != GOES_ON)),
            s_t=tf.constant([n, -n], tf.float32),
        )
        rows = replay.store(rows, tf.constant(n), row)
    return rows, count - 1


def ahead(
    rows: tf.Tensor, newest: int, first: int, steps: int, gamma: float = 0.5
) -> tuple[float, float, int]:
    """Total, discount and number of the last transition that is looked at, from row `first`."""
    found = Replay(rows.shape[0], S, P).ahead(
        rows, tf.constant([first]), tf.constant(newest), steps, tf.constant(gamma)
    )
    np.testing.assert_array_equal(found.s[:, 1], -found.s[:, 0])
    return float(found.total[0]), float(found.discount[0]), int(found.s[0, 0])


# Rewards 1, 2, 4, 8, 16 of the transitions 0 to 4; gamma 1/2, so that each step brings as much as
# the first one did.
@pytest.mark.parametrize(
    ("kinds", "first", "steps", "expected"),
    [
        ([GOES_ON] * 5, 0, 2, (1 + 1, 0.25, 1)),
        ([GOES_ON] * 5, 1, 3, (2 + 2 + 2, 0.125, 3)),
        ([GOES_ON] * 5, 2, 3, (4 + 4 + 4, 0.125, 4)),
        # The newest transition is where it ends: what follows it is not known yet.
        ([GOES_ON] * 5, 3, 3, (8 + 8, 0.25, 4)),
        ([GOES_ON] * 5, 4, 3, (16, 0.5, 4)),
        # Nothing is worth anything after the task.
        ([GOES_ON, TERMINATED, GOES_ON, GOES_ON, GOES_ON], 0, 3, (1 + 1, 0.0, 1)),
        ([GOES_ON, TERMINATED, GOES_ON, GOES_ON, GOES_ON], 1, 3, (2, 0.0, 1)),
        ([GOES_ON, GOES_ON, TERMINATED, GOES_ON, GOES_ON], 0, 3, (3 * 1, 0.0, 2)),
        ([GOES_ON, GOES_ON, TERMINATED, GOES_ON, GOES_ON], 0, 2, (2 * 1, 0.25, 1)),
        # After the time limit it would have gone on, from what followed and not from a new start.
        ([GOES_ON, TRUNCATED, GOES_ON, GOES_ON, GOES_ON], 0, 3, (1 + 1, 0.25, 1)),
        ([GOES_ON, TRUNCATED, GOES_ON, GOES_ON, GOES_ON], 1, 3, (2, 0.5, 1)),
        ([GOES_ON, TRUNCATED, TERMINATED, GOES_ON, GOES_ON], 0, 5, (1 + 1, 0.25, 1)),
    ],
)
@pytest.mark.parametrize("capacity", [5, 7])
def test_looking_ahead_by_hand(capacity, kinds, first, steps, expected) -> None:
    """In a memory with room left, and in one that is just full."""
    assert ahead(*memory(kinds, capacity), first, steps) == expected


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (3, (8 + 8 + 8, 0.125, 5)),
        (0, (16 + 16 + 16, 0.125, 6)),  # transition 4
        (1, (32 + 32, 0.25, 6)),  # transition 5
        (2, (64, 0.5, 6)),  # transition 6, the newest: row 3 holds the oldest
    ],
)
def test_looking_ahead_goes_around_the_end_of_the_array(first, expected) -> None:
    """Seven transitions in four rows: numbers 4, 5, 6, 3."""
    assert ahead(*memory([GOES_ON], capacity=4, count=7), first, 3) == expected


def test_looking_further_than_the_memory_is_long() -> None:
    rows, newest = memory([GOES_ON], capacity=4, count=7)
    assert ahead(rows, newest, 3, 9) == (8 + 8 + 8 + 8, 0.5**4, 6)
    assert ahead(rows, newest, 2, 9) == (64, 0.5, 6)


@pytest.mark.parametrize(("gamma", "expected"), [(0.0, (1, 0.0, 2)), (1.0, (1 + 2 + 4, 1.0, 2))])
def test_looking_ahead_with_the_smallest_and_the_largest_discount(gamma, expected) -> None:
    assert ahead(*memory([GOES_ON] * 5, 5), 0, 3, gamma) == expected


def looked_ahead(rows: np.ndarray, first: int, newest: int, steps: int, gamma: float) -> list:
    """The same, one transition at a time, in double precision."""
    capacity, column = len(rows), S + P + 1
    total, discount, index = 0.0, 1.0, first
    for _ in range(steps):
        reward, continues, ended = rows[index, column : column + 3]
        total, discount = total + discount * reward, discount * gamma
        following = rows[index, column + 3 :]
        if ended:
            discount *= continues
        if ended or index == newest % capacity:
            break
        index = (index + 1) % capacity
    return [total, discount, *following]


@pytest.mark.parametrize("seed", range(20))
def test_looking_ahead_in_random_memories(seed) -> None:
    random = np.random.default_rng(seed)
    capacity, steps = random.integers(1, 40), int(random.integers(1, 12))
    newest = int(random.integers(0, 3 * capacity))
    rows = random.normal(size=(capacity, 2 * S + P + 4)).astype(np.float32)
    ended = random.random(capacity) < random.choice([0.0, 0.1, 0.5])
    rows[:, S + P + 3] = ended
    rows[:, S + P + 2] = np.where(ended, random.integers(0, 2, capacity), 1)
    indices = np.arange(min(newest + 1, capacity), dtype=np.int32)
    expected = [looked_ahead(rows, index, newest, steps, 0.9) for index in indices]
    found = Replay(int(capacity), S, P).ahead(
        tf.constant(rows), tf.constant(indices), tf.constant(newest), steps, tf.constant(0.9)
    )
    columns = np.concatenate([np.stack(found[:2], axis=1), found.s], axis=1)
    np.testing.assert_allclose(columns, expected, rtol=1e-5, atol=1e-6)

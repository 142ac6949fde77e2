"""What networks see of observations: known bounds, or moments of what was met with so far."""

import numpy as np
import pytest

from pamdp.base.lazy import tf
from pamdp.learning.learner import Learner
from pamdp.learning.policy import Weights
from pamdp.learning.scaling import Observed, Scaling
from pamdp.learning.state import LearnerState, Transition
from tests.helpers import UNBOUNDED, experienced, learner, minibatch

INF = np.inf


def scaling(low: list[float], high: list[float]) -> Scaling:
    return Scaling(np.array(low, np.float32), np.array(high, np.float32))


def observed(count: float, mean: list[float], squares: list[float]) -> Observed:
    return Observed(tf.constant(count), tf.constant(mean), tf.constant(squares))


def after(subject: Scaling, rows: np.ndarray) -> Observed:
    moments = subject.initial()
    for row in rows:
        moments = subject.updated(moments, tf.constant(row, tf.float32))
    assert isinstance(moments, Observed)
    return moments


# -- Known bounds ----------------------------------------------------------------------------------


def test_known_bounds_go_to_unit_range() -> None:
    subject = scaling([0.0, -10.0, 5.0], [1.0, 10.0, 6.0])
    scaled = subject.apply((), tf.constant([[0.0, 0.0, 6.0], [0.25, -10.0, 5.5]]))
    np.testing.assert_allclose(scaled, [[-1, 0, 1], [-0.5, -1, 0]])
    assert scaled.dtype == tf.float32
    beyond = subject.apply((), tf.constant([3.0, 40.0, 5.0]))
    np.testing.assert_allclose(beyond, [5, 4, -1])  # not clipped


@pytest.mark.parametrize("numbers", [np.int64([[0, 1, 0]]), np.float64([[0, 1, 0]])])
def test_numbers_of_other_types_are_scaled_too(numbers) -> None:
    subject = scaling([0.0] * 3, [1.0] * 3)
    assert np.asarray(subject.apply((), numbers)).tolist() == [[-1, 1, -1]]
    mixed = scaling([0.0, -INF, 0.0], [1.0, INF, 1.0])
    scaled = mixed.apply(observed(1.0, [9.0] * 3, [0.0] * 3), numbers - np.array([0, -8, 0]))
    assert np.asarray(scaled).tolist() == [[-1, 0, -1]]


def test_where_all_bounds_are_known_nothing_is_remembered() -> None:
    subject = scaling([0.0, -1.0], [1.0, 1.0])
    assert subject.initial() == ()
    assert subject.updated((), tf.constant([0.5, 0.5])) == ()


# -- Moments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (1000.0, 5.0), (-0.02, 1e-3)])
def test_moments_are_those_of_all_observations(mean, spread) -> None:
    rows = np.random.default_rng(1).normal(mean, spread, (500, 2)).astype(np.float32)
    moments = after(scaling([-INF, -INF], [INF, INF]), rows)
    assert float(moments.count) == 500
    double = rows.astype(np.float64)
    np.testing.assert_allclose(moments.mean, double.mean(axis=0), rtol=1e-5, atol=1e-3 * spread)
    # In float32 the naive `mean(x^2) - mean(x)^2` would be off by more than the spread at 1000.
    found = np.sqrt(moments.squares / moments.count)
    np.testing.assert_allclose(found, double.std(axis=0), rtol=1e-3)


def test_moments_by_hand() -> None:
    moments = after(scaling([-INF], [INF]), np.array([[1.0], [5.0], [3.0]]))
    assert [np.asarray(field).tolist() for field in moments] == [3.0, [3.0], [8.0]]


def test_scaling_by_moments_by_hand() -> None:
    subject = scaling([-INF, -INF], [INF, INF])
    moments = observed(4.0, [2.0, -1.0], [36.0, 1.0])  # spreads 3 and 1/2
    scaled = subject.apply(moments, tf.constant([[5.0, -1.0], [2.0, 0.0], [-4.0, -2.0]]))
    np.testing.assert_allclose(scaled, [[1, 0], [0, 2], [-2, -2]], rtol=1e-6)
    far = subject.apply(moments, tf.constant([[31.9, 3.9], [32.1, 4.1], [-1e9, -7.0]]))
    np.testing.assert_allclose(far, [[29.9 / 3, 9.8], [10, 10], [-10, -10]], rtol=1e-6)


def test_features_with_bounds_do_not_feel_the_moments() -> None:
    subject = scaling([0.0, -INF, 0.0, -INF], [10.0, INF, INF, 0.0])
    assert subject.bounded.tolist() == [True, False, False, False]
    row = tf.constant([7.5, 7.5, 7.5, 7.5])
    one, two = (observed(4.0, [mean] * 4, [4.0] * 4) for mean in (0.0, 5.0))
    np.testing.assert_allclose(subject.apply(one, row), [0.5, 7.5, 7.5, 7.5], rtol=1e-6)
    np.testing.assert_allclose(subject.apply(two, row), [0.5, 2.5, 2.5, 2.5], rtol=1e-6)
    np.testing.assert_allclose(subject.apply(two, 1000 * row)[:1], [1499])  # no limit


def test_one_observation_and_constant_features_are_zero() -> None:
    subject = scaling([-INF, -INF], [INF, INF])
    first = after(subject, np.array([[123.0, -0.5]]))
    assert np.asarray(subject.apply(first, tf.constant([123.0, -0.5]))).tolist() == [0, 0]
    constant = after(subject, np.array([[123.0, n] for n in range(50)]))
    scaled = subject.apply(constant, tf.constant([[123.0, 24.5], [123.1, 24.5]]))
    np.testing.assert_allclose(scaled, [[0, 0], [10, 0]])


# -- In a policy and a learner ---------------------------------------------------------------------

ROWS = np.random.default_rng(3).normal(0, [0.3, 50.0, 4.0], (12, 3)).astype(np.float32)
EXPLORE_NEVER = {"epsilon__start": 0.0, "epsilon__end": 0.0}


def unbounded(**changes) -> Learner:
    return learner(bounds=UNBOUNDED, **changes)


def lived(agent: Learner, ended_at: tuple[int, ...] = ()) -> LearnerState:
    """The state after `ROWS` were acted on; where an episode ended, what followed was far away."""
    state = agent.initial(tf.constant(1), tf.constant(ROWS[0]))
    for n, row in enumerate(ROWS[1:], 1):
        ended = tf.constant(n in ended_at)
        following = tf.constant(1e4 + row) if n in ended_at else tf.constant(row)
        state = agent.advance(
            state, Transition(tf.constant(1.0), ended, ended, following, tf.constant(row))
        )
    return state


def scaled(rows: np.ndarray, seen: np.ndarray = ROWS) -> np.ndarray:
    """With the bounds [0, 1] of the first feature, and the moments of what was seen."""
    normal = (rows - seen.mean(axis=0)) / seen.std(axis=0)
    return np.where([True, False, False], 2 * rows - 1, np.clip(normal, -10, 10))


def test_moments_are_of_what_was_acted_on() -> None:
    """The first observation of an episode is part of it, what an episode ended with is not."""
    for moments in (lived(unbounded()).observed, lived(unbounded(), ended_at=(4, 9)).observed):
        assert isinstance(moments, Observed)
        assert float(moments.count) == 12
        np.testing.assert_allclose(moments.mean, ROWS.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(moments.squares / 12, ROWS.var(axis=0), rtol=1e-4)


def test_a_choice_knows_the_observation_it_is_made_on() -> None:
    agent = unbounded(**EXPLORE_NEVER, parameters__output_std=0.5)
    state = lived(agent)
    x = agent.policy.parameters(state.online, tf.constant(scaled(ROWS[-1:]), tf.float32))
    np.testing.assert_allclose(state.choice.parameters, x[0], rtol=1e-3, atol=1e-4)
    assert np.abs(x).max() > 0.1
    without_it = scaled(ROWS[-1:], seen=ROWS[:-1])
    other = agent.policy.parameters(state.online, tf.constant(without_it, tf.float32))
    assert not np.allclose(state.choice.parameters, other[0], rtol=1e-3, atol=1e-4)


def test_the_memory_is_raw_and_a_minibatch_is_scaled_by_the_moments_of_now() -> None:
    agent = unbounded(batch_size=64, learning_starts=50)
    state = lived(agent)
    np.testing.assert_array_equal(state.replay[:11, :3], ROWS[:-1])
    np.testing.assert_array_equal(state.replay[:11, -3:], ROWS[1:])
    batch = agent.targets.sample(agent.replay, state).batch
    np.testing.assert_array_equal(batch.s_tm1, minibatch(agent, state).s_tm1)
    first, following = scaled(ROWS[:-1]), scaled(ROWS[1:])
    for s_tm1, s_t in zip(batch.s_tm1, batch.s_t, strict=True):
        row = np.argmin(np.abs(first - s_tm1).sum(axis=1))
        np.testing.assert_allclose(s_tm1, first[row], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(s_t, following[row], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_step", [None, {"steps": 2, "beta": 1.0}], ids=["one", "two"])
def test_targets_are_of_scaled_observations(n_step) -> None:
    agent = unbounded(batch_size=64, learning_starts=50, n_step=n_step, gamma=1.0)
    state = lived(agent)
    batch, target, _ = agent.targets.sample(agent.replay, state)
    rows = [int(np.argmin(np.abs(scaled(ROWS[:-1]) - s).sum(axis=1))) for s in batch.s_tm1]
    final = np.array([min(row + (2 if n_step else 1), 11) for row in rows])
    s = tf.constant(scaled(ROWS[final]), tf.float32)
    x = agent.policy.parameters(state.target, s)
    value = np.max(agent.policy.q_function.values(state.q_network.target, s, x), axis=1)
    np.testing.assert_allclose(target, final - rows + value, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("evaluated", ["online", "target"])
def test_the_policy_that_is_evaluated_has_the_moments_of_learning(evaluated) -> None:
    agent = unbounded(evaluated=evaluated)
    state = lived(agent)
    weights = agent.evaluated(state)
    assert weights.observed is state.observed
    decision = agent.policy.greedy(weights, tf.constant(ROWS))
    s = tf.constant(scaled(ROWS), tf.float32)
    x = agent.policy.parameters(weights, s)
    np.testing.assert_allclose(decision.parameters, x, rtol=1e-3, atol=1e-4)
    q = agent.policy.q_function.values(weights.q, s, x)
    np.testing.assert_allclose(decision.q, q, rtol=1e-3, atol=1e-4)


def test_moments_change_decisions_and_bounds_do_not_need_them() -> None:
    agent = unbounded()
    state = experienced(agent)
    rows = tf.constant(np.random.default_rng(1).random((20, 3), np.float32))
    one = observed(10.0, [0.0] * 3, [10.0] * 3)
    x, q = state.x_network.online, state.q_network.online
    decisions = [
        agent.policy.greedy(Weights(x, q, moments), rows)
        for moments in (one, one._replace(mean=one.mean + 1.0))
    ]
    assert not np.isclose(decisions[0].parameters, decisions[1].parameters).any()
    assert learner().evaluated(experienced(learner())).observed == ()

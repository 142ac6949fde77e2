"""Losses and objectives on numbers worked by hand, and their gradients against one whole tape."""

from collections.abc import Callable

import numpy as np
import pytest

from pamdp.base import seeding
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.learning.learner import Learner
from pamdp.learning.objectives import OBJECTIVES, TD_LOSSES, Sampled
from pamdp.learning.state import LearnerState
from pamdp.learning.updates import BETA_1
from tests.helpers import SPEC, experienced, learner, minibatch

Q = tf.constant([[1.0, 2.0, 4.0], [3.0, -1.0, 8.0]])
ACTIONS = tf.constant([0, 2])  # of values 1 and 8
TARGETS = tf.constant([2.0, 5.0])  # errors 1 and -3
DRAWS = tf.constant([0.3, 0.0, 0.4])  # of norm 0.5: weights 0.6, 0, 0.8


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("huber", [0.0, 0.125, 0.5, 1.5, 2.5]), ("squared", [0.0, 0.25, 1.0, 4.0, 9.0])],
)
def test_td_losses_by_hand(loss, expected) -> None:
    for sign in (1, -1):
        errors = sign * tf.constant([0.0, 0.5, 1.0, 2.0, 3.0])
        np.testing.assert_allclose(TD_LOSSES[loss](errors), expected)


def test_slopes_of_the_td_losses() -> None:
    errors = tf.constant([-3.0, -0.5, 0.0, 0.5, 3.0])
    expected = {"huber": [-1, -0.5, 0, 0.5, 1], "squared": [-6, -1, 0, 1, 6]}
    for name, loss in TD_LOSSES.items():
        with tf.GradientTape() as tape:
            tape.watch(errors)
            total = tf.reduce_sum(loss(errors))
        np.testing.assert_allclose(tape.gradient(total, errors), expected[name])


@pytest.mark.parametrize(
    ("name", "loss", "expected"),
    [
        ("sum", "huber", (7 + 10) / 2),
        ("average", "huber", (7 / 3 + 10 / 3) / 2),
        ("weighted", "huber", (0.5 * (1 + 4) + 0.5 * (3 + 8)) / 2),
        ("random_weighted", "huber", (0.6 * 1 + 0.8 * 4 + 0.6 * 3 + 0.8 * 8) / 2),
        ("indexed", "huber", (1 + 8) / 2),
        ("weighted_indexed", "huber", (0.5 * 1 + 0.5 * 8) / 2),
        ("greedy", "huber", (4 + 8) / 2),
        ("td", "huber", -(0.5 + 2.5) / 2),
        ("td", "squared", -(1 + 9) / 2),
    ],
)
def test_objectives_by_hand(name, loss, expected) -> None:
    sampled = Sampled(ACTIONS, TARGETS, TD_LOSSES[loss], DRAWS)
    objective = OBJECTIVES[name]
    q = tf.gather(Q, ACTIONS, batch_dims=1) if objective.sampled else Q
    assert float(objective.value(q, sampled)) == pytest.approx(expected, rel=1e-6)


def test_weighted_indexed_weighs_by_the_share_of_the_action_and_not_by_its_inverse() -> None:
    """As the published code does: `mean_b n_a/B Q_a`."""
    q, actions = tf.constant([2.0, 4.0, 32.0]), tf.constant([1, 0, 1])
    expected = (2 / 3 * 2 + 1 / 3 * 4 + 2 / 3 * 32) / 3
    objective = OBJECTIVES["weighted_indexed"]
    rest = (tf.zeros([3]), TD_LOSSES["huber"], DRAWS)
    assert float(objective.value(q, Sampled(actions, *rest))) == pytest.approx(expected)


def test_no_draw_makes_an_objective_nan() -> None:
    sampled = Sampled(tf.constant([0]), tf.zeros([1]), TD_LOSSES["huber"], tf.zeros([1]))
    assert float(OBJECTIVES["random_weighted"].value(tf.constant([[3.0]]), sampled)) == 0


def test_only_td_is_confined_to_the_sampled_action() -> None:
    assert [name for name, objective in OBJECTIVES.items() if objective.own_only] == ["td"]


# -- The learner's gradient --------------------------------------------------------------------

# Written out anew: J from Q(s, x(s)) [B, K], actions, targets, TD loss and the draws [K].
NAIVE: dict[str, Callable[..., tf.Tensor]] = {
    "sum": lambda q, a, y, loss, u: tf.reduce_sum(q) / len(q),
    "average": lambda q, a, y, loss, u: tf.reduce_mean(q),
    "weighted": lambda q, a, y, loss, u: sum(
        np.mean(a == k) * tf.reduce_mean(q[:, k]) for k in range(SPEC.num_actions)
    ),
    "random_weighted": lambda q, a, y, loss, u: tf.reduce_mean(
        tf.linalg.matvec(q, u / np.sqrt(np.sum(np.square(u))))
    ),
    "indexed": lambda q, a, y, loss, u: tf.reduce_mean(tf.gather(q, a, batch_dims=1)),
    "weighted_indexed": lambda q, a, y, loss, u: tf.reduce_mean(
        np.array([np.mean(a == each) for each in np.asarray(a)], np.float32)
        * tf.gather(q, a, batch_dims=1)
    ),
    "greedy": lambda q, a, y, loss, u: tf.reduce_mean(
        tf.gather(q, np.argmax(q, axis=1), batch_dims=1)
    ),
    "td": lambda q, a, y, loss, u: -tf.reduce_mean(loss(y - tf.gather(q, a, batch_dims=1))),
}


def naive_gradient(agent: Learner, state: LearnerState) -> tuple:
    """Of minus the objective, by one tape from the weights to J."""
    policy, hyper = agent.policy, agent.settings
    batch = minibatch(agent, state)
    x_t = policy.parameters(state.target, batch.s_t)
    q_t = policy.q_function.values(state.q_network.target, batch.s_t, x_t)
    y = batch.r_t + hyper.gamma * batch.continues_t * np.max(q_t, axis=-1)
    draws = seeding.uniform(seeding.stream(state.seed, Stream.OBJECTIVE, state.step), (4,))
    own = np.asarray(tf.gather(SPEC.owned, batch.a_tm1))
    weights = state.x_network.online
    with tf.GradientTape() as tape:
        tape.watch(weights)
        x = policy.parameters(state.online._replace(x=weights), batch.s_tm1)
        if hyper.objective == "td":
            x = own * x + (1 - own) * tf.stop_gradient(x)
        q = policy.q_function.values(state.q_network.online, batch.s_tm1, x)
        naive = NAIVE[hyper.objective]
        loss = -naive(q, batch.a_tm1, y, TD_LOSSES[hyper.td_loss], draws)
    return tape.gradient(loss, weights)


def learned_gradient(agent: Learner, state: LearnerState) -> tuple:
    """The gradient of an update, read back from Adam's first moments."""
    first = agent.learn(state).x_network.moments.first
    return tf.nest.map_structure(lambda m: m / (1 - BETA_1), first)


@pytest.mark.parametrize("algorithm", ["pdqn", "mpdqn"])
@pytest.mark.parametrize(
    ("objective", "loss"), [*((name, "huber") for name in OBJECTIVES), ("td", "squared")]
)
def test_plain_is_the_derivative_of_the_objective(algorithm, objective, loss) -> None:
    agent = learner(algorithm, "plain", objective=objective, td_loss=loss, gradient_clip=None)
    state = experienced(agent)
    received = tf.nest.flatten(learned_gradient(agent, state))
    expected = tf.nest.flatten(naive_gradient(agent, state))
    for a, b in zip(received, expected, strict=True):
        assert np.any(b)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.max(np.abs(b)))


@pytest.mark.parametrize("algorithm", ["pdqn", "mpdqn"])
def test_squashing_is_the_derivative_through_tanh(algorithm) -> None:
    agent = learner(algorithm, "squashing", gradient_clip=None)
    state = experienced(agent)
    received = tf.nest.flatten(learned_gradient(agent, state))
    expected = tf.nest.flatten(naive_gradient(agent, state))
    for a, b in zip(received, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.max(np.abs(b)))


@pytest.mark.parametrize("algorithm", ["pdqn", "mpdqn"])
def test_td_moves_only_the_parameters_of_the_sampled_action(algorithm) -> None:
    moved = {}
    for objective in ("td", "sum"):
        agent = learner(algorithm, "plain", objective=objective)
        state = experienced(agent)
        column = agent.policy.features + SPEC.num_parameters
        memory = np.array(state.replay)
        memory[:, column] = 2  # "three", the third action, in every transition
        state = state._replace(replay=tf.constant(memory))
        after = agent.learn(state).x_network.online[-1][0]
        before = state.x_network.online[-1][0]
        moved[objective] = np.any(np.asarray(before) != np.asarray(after), axis=1)
    assert moved["td"].tolist() == (SPEC.owned[2] > 0).tolist()
    assert moved["sum"].all()

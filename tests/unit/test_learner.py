"""The learner: targets by hand, what moves what, and that no setting is dead."""

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base.lazy import tf
from pamdp.learning.learner import Learner
from pamdp.learning.policy import Weights
from pamdp.learning.state import LearnerState, Transition
from tests.helpers import FEATURES, differing, experienced, learner, minibatch

FIRST, NEXT, RESET = ([0.2, 0.9, 0.4], [0.7, 0.1, 0.3], [0.0, 0.0, 0.0])


def transition(reward: float, terminated: bool = False, ended: bool = False) -> Transition:
    return Transition(
        tf.constant(reward),
        tf.constant(terminated),
        tf.constant(ended or terminated),
        tf.constant(NEXT),
        tf.constant(RESET if ended or terminated else NEXT),
    )


def constant(weights: tuple, values: list[float]) -> tuple:
    """Weights of the same shapes whose output is `values`, whatever the input."""
    zeros = tf.nest.map_structure(tf.zeros_like, weights)
    if isinstance(zeros[-1][0], tuple):
        return one_network(zeros, values)
    return (*zeros[:-1], (zeros[-1][0], tf.constant(values)))


def one_network(zeros: tuple, values: list[float]) -> tuple:
    """The same for EP-DQN: action k has a hidden unit of its own, which alone is on."""
    table, ((kernel, bias), (last_kernel, last_bias)) = tf.nest.map_structure(np.array, zeros)
    for action, value in enumerate(values):
        table[action, action] = kernel[FEATURES + action, action] = 1.0
        last_kernel[0, action] = value
    layers = ((kernel, bias), (last_kernel, last_bias))
    return tf.nest.map_structure(tf.constant, (table, layers))


def first_feature(weights: tuple) -> tuple:
    """Weights of the same shapes whose every output is the first input, if that is positive."""
    (kernel, _), (last, _) = zeros = tf.nest.map_structure(np.zeros_like, weights)
    kernel[0, 0] = 1.0
    last[:, 0] = 1.0
    return tf.nest.map_structure(tf.constant, zeros)


def with_online(state: LearnerState, name: str, values: list[float]) -> LearnerState:
    """The state with a network that learns and gives `values`, whatever the input."""
    network = getattr(state, name)
    online = constant(network.online, values)
    return state._replace(**{name: network._replace(online=online)})


def first_update(agent: Learner, target_q: list[float], *answers: Transition) -> LearnerState:
    """The state after some transitions; Q is 0, and `target_q` according to the target network."""
    state = agent.initial(tf.constant(1), tf.constant(FIRST))
    q = state.q_network
    if agent.policy.spec.num_actions == 1:  # the actor decides
        target_q = [max(target_q)]
    zeros = constant(q.online, [0.0] * len(target_q))
    q = q._replace(online=zeros, target=constant(q.target, target_q))
    state = state._replace(q_network=q)
    for answer in answers:
        state = agent.advance(state, answer)
    return state


# -- Targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("terminated", "ended", "expected"),
    [
        (False, False, 2.0 + 0.9 * 3.0),
        (True, True, 2.0),
        (False, True, 2.0 + 0.9 * 3.0),  # truncation: the value of what follows still counts
    ],
    ids=["going on", "terminated", "truncated"],
)
def test_td_target_by_hand(algorithm, terminated, ended, expected) -> None:
    agent = learner(algorithm, learning_starts=1, td_loss="squared", gamma=0.9)
    answer = transition(2.0, terminated, ended)
    state = first_update(agent, [1.0, -5.0, 3.0, 2.0], answer)
    assert float(state.statistics.td_loss) == pytest.approx(expected**2, rel=1e-6)


def test_rewards_are_scaled_in_learning_and_not_in_scores() -> None:
    agent = learner(learning_starts=1, td_loss="squared", gamma=0.5, reward_scale=0.1)
    state = first_update(agent, [4.0, 0.0, 0.0, 0.0], transition(20.0, ended=True))
    assert float(state.statistics.td_loss) == pytest.approx((2.0 + 0.5 * 4.0) ** 2, rel=1e-6)
    assert float(state.statistics.episode_return) == 20.0


@pytest.mark.parametrize("ended", [False, True])
def test_bootstrap_is_from_what_followed_and_not_from_the_new_episode(ended) -> None:
    agent = learner(learning_starts=1, td_loss="squared", gamma=1.0)
    state = agent.initial(tf.constant(1), tf.constant(FIRST))
    q = state.q_network
    q = q._replace(online=constant(q.online, [0.0] * 4), target=first_feature(q.target))
    state = agent.advance(state._replace(q_network=q), transition(0.0, ended=ended))
    scaled = 2 * NEXT[0] - 1  # 0.4, where the new episode begins at -1
    assert float(state.statistics.td_loss) == pytest.approx(scaled**2, rel=1e-5)


def test_the_parameters_of_the_target_are_the_target_networks() -> None:
    agent = learner("pdqn", learning_starts=1, td_loss="squared", gamma=1.0)
    losses = {}
    for name in ("online", "target"):
        state = agent.initial(tf.constant(1), tf.constant(FIRST))
        # A target Q-network that returns the first parameter, the fourth of its inputs.
        q, x = state.q_network, state.x_network
        kernel, last = np.zeros_like(q.online[0][0]), np.zeros_like(q.online[1][0])
        kernel[3, 0] = last[:, 0] = 1.0
        zeros = constant(q.online, [0.0] * 4)
        target = ((tf.constant(kernel), zeros[0][1]), (tf.constant(last), zeros[1][1]))
        parameters = {"online": [0.25] * 6, "target": [0.5] * 6, name: [0.75] * 6}
        state = state._replace(
            q_network=q._replace(online=zeros, target=target),
            x_network=x._replace(**{n: constant(x.online, v) for n, v in parameters.items()}),
        )
        state = agent.advance(state, transition(0.0))
        losses[name] = float(state.statistics.td_loss)
    assert losses == {"online": 0.5**2, "target": 0.75**2}


# -- Steps ---------------------------------------------------------------------------------------


def test_learning_starts_with_the_given_transition() -> None:
    agent = learner(learning_starts=3)
    state = agent.initial(tf.constant(1), tf.constant(FIRST))
    for step in range(1, 6):
        before, state = state, agent.advance(state, transition(1.0))
        assert int(state.step) == step
        assert float(state.statistics.updates) == max(0, step - 2)
        for name in ("q_network", "x_network"):
            moved = differing(getattr(before, name), getattr(state, name))
            assert ("online" in moved) == (step >= 3)


def test_what_is_remembered() -> None:
    agent = learner(reward_scale=0.5)
    state = agent.initial(tf.constant(1), tf.constant(FIRST))
    choice = state.choice
    state = agent.advance(state, transition(3.0, terminated=True))
    row = np.asarray(state.replay[0])
    expected = [
        *FIRST,  # raw
        *np.asarray(choice.parameters),
        float(choice.action),
        1.5,
        0.0,
        1.0,
        *NEXT,
    ]
    np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)
    assert not np.any(state.replay[1:])
    np.testing.assert_allclose(state.observation, RESET)  # acts on the new episode
    state = agent.advance(state, transition(1.0, ended=True))  # truncated: it would have gone on
    np.testing.assert_allclose(state.replay[1, :3], RESET)
    np.testing.assert_allclose(state.replay[1, -5:-3], [1.0, 1.0])
    state = agent.advance(state, transition(1.0))
    np.testing.assert_allclose(state.replay[2, -5:-3], [1.0, 0.0])
    np.testing.assert_allclose(state.observation, NEXT)


def test_statistics_of_episodes_by_hand() -> None:
    agent = learner()
    state = agent.initial(tf.constant(1), tf.constant(FIRST))
    for reward, ended in ((1.0, False), (2.0, True), (5.0, True), (7.0, False)):
        state = agent.advance(state, transition(reward, ended=ended))
    sums = state.statistics
    assert int(state.episodes) == 2
    assert (float(sums.episodes), float(sums.episode_return)) == (2.0, 3.0 + 5.0)
    assert float(sums.episode_length) == 2.0 + 1.0
    assert (float(state.running_return), float(state.running_length)) == (7.0, 1.0)


def test_shares_of_clipped_and_near_bound_parameters_by_hand() -> None:
    agent = learner("pdqn")
    state = experienced(agent)
    outputs = [1.5, -1.01, 0.985, -0.99, 0.97, 0.0]  # two outside, two more within 1 % of a bound
    state = agent.learn(with_online(state, "x_network", outputs))
    assert float(state.statistics.clipped) == pytest.approx(2 / 6)
    assert float(state.statistics.near_bound) == pytest.approx(4 / 6)
    assert float(state.statistics.updates) == 1.0


def test_mean_value_of_the_actions_taken_by_hand() -> None:
    agent = learner("pdqn")
    state = experienced(agent)
    values = np.array([1.0, 2.0, 3.0, 6.0], np.float32)
    after = agent.learn(with_online(state, "q_network", values))
    taken = np.asarray(agent.targets.sample(agent.replay, state).batch.a_tm1)
    assert len({*taken}) > 1
    assert float(after.statistics.q) == pytest.approx(values[taken].mean())


# -- Updates -------------------------------------------------------------------------------------


def test_target_networks_move_by_tau() -> None:
    agent = learner(q__tau=0.25, parameters__tau=0.5)
    state = experienced(agent)
    after = agent.learn(state)
    for name, tau in (("q_network", 0.25), ("x_network", 0.5)):
        moved = getattr(after, name)
        nests = getattr(state, name).target, moved.online, moved.target
        for old, online, new in zip(*map(tf.nest.flatten, nests), strict=True):
            np.testing.assert_allclose(new, (1 - tau) * old + tau * online, rtol=1e-4, atol=1e-6)


def test_evaluated_networks() -> None:
    for name in ("online", "target"):
        agent = learner(evaluated=name)
        state = experienced(agent)
        x, q = (getattr(network, name) for network in (state.x_network, state.q_network))
        assert agent.evaluated(state) == Weights(x, q, observed=())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_both_updates_are_made_at_the_same_weights(algorithm) -> None:
    slow, fast = (learner(algorithm, q__learning_rate=rate) for rate in (1e-3, 1e-1))
    a, b = slow.learn(experienced(slow)), fast.learn(experienced(fast))
    assert "online" in differing(a.q_network, b.q_network)
    assert differing(a.x_network, b.x_network) == []


def test_clipping_bounds_the_norm_of_each_network() -> None:
    free, bound = learner(gradient_clip=None), learner(gradient_clip=0.01)
    for name in ("q_network", "x_network"):
        learned = [getattr(agent.learn(experienced(agent)), name) for agent in (free, bound)]
        norms = [
            float(tf.linalg.global_norm(tf.nest.flatten(network.moments.first)))
            for network in learned
        ]
        assert norms[0] > 0.002
        assert norms[1] == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_a_step_towards_the_objective_raises_it() -> None:
    for algorithm in ALGORITHMS:
        agent = learner(algorithm, "plain", parameters__learning_rate=1e-4)
        state = experienced(agent)
        policy, s = agent.policy, minibatch(agent, state).s_tm1
        after = agent.learn(state)
        values = []
        for network in (state.x_network, after.x_network):
            weights = state.online._replace(x=network.online)
            x = policy.parameters(weights, s)
            values.append(float(tf.reduce_sum(policy.values(weights, s, x))))
        assert values[1] > values[0]


def test_a_step_of_the_critic_lowers_its_loss() -> None:
    for algorithm in ALGORITHMS:
        agent = learner(algorithm, q__learning_rate=1e-3, q__tau=1e-12, parameters__tau=1e-12)
        state = experienced(agent)
        after = agent.learn(state)
        # The same minibatch and targets.
        q = state.q_network._replace(online=after.q_network.online)
        again = agent.learn(state._replace(q_network=q))
        assert float(again.statistics.td_loss) < float(after.statistics.td_loss)

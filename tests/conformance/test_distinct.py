"""No two strategies or algorithms are the same: each one moves the parameters differently."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np

from pamdp.algorithms import ALGORITHMS
from pamdp.base.lazy import tf
from pamdp.base.strategy import Strategy
from pamdp.learning.learner import Learner
from pamdp.learning.state import LearnerState
from pamdp.strategies.members import MEMBERS
from tests.helpers import experienced, learner, minibatch, strategy_of

CHAINS = (("reversal", "inverting"), ("selective", "squashing"))
STRATEGIES: dict[str, Strategy] = {
    **{kind: strategy_of({"kind": kind}) for kind in MEMBERS},
    **{"_".join(kinds): strategy_of([{"kind": kind} for kind in kinds]) for kinds in CHAINS},
}

Name = tuple[str, str]


def agent_of(algorithm: str, strategy: Strategy) -> Learner:
    agent = learner(algorithm, batch_size=64)
    return Learner(agent.settings, replace(agent.policy, strategy=strategy))


def movement(agent: Learner) -> np.ndarray:
    """How one update moves the parameter network, from the same state for all agents."""
    state = experienced(agent)
    network = state.x_network
    # Adam's very first step shows only signs.
    second = tf.nest.map_structure(tf.ones_like, network.online)
    network = network._replace(moments=network.moments._replace(second=second))
    after = agent.learn(state._replace(x_network=network))
    return flat(after.x_network.online) - flat(network.online)


def flat(nest: tuple) -> np.ndarray:
    leaves = tf.nest.flatten(nest)
    return np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(np.float64)


def alike(movements: dict[Name, np.ndarray]) -> list[tuple[Name, Name]]:
    """The pairs that do the same; networks of other sizes do not."""
    return [
        (one, other)
        for (one, a), (other, b) in combinations(movements.items(), 2)
        if a.shape == b.shape and not np.linalg.norm(a - b) / np.linalg.norm(a) > 0.01
    ]


def td_errors(agent: Learner, state: LearnerState) -> np.ndarray:
    batch, policy = minibatch(agent, state), agent.policy
    x_t = policy.parameters(state.target, batch.s_t)
    q_t = np.max(policy.q_function.values(state.q_network.target, batch.s_t, x_t), axis=-1)
    q = policy.q_function.taken(state.q_network.online, batch.s_tm1, batch.x_tm1, batch.a_tm1)
    return np.asarray(batch.r_t + agent.settings.gamma * batch.continues_t * q_t - q)


def test_the_update_has_all_that_strategies_tell_apart() -> None:
    """TD errors of both signs, some below -1 and some above, parameters in and out of bounds."""
    for algorithm in ALGORITHMS:
        agent = agent_of(algorithm, STRATEGIES["plain"])
        state = experienced(agent)
        errors = td_errors(agent, state)
        assert np.min(errors) < -1 < np.max(errors[errors < 0]) < 0 < np.max(errors)
        x = agent.policy.parameters(state.online, minibatch(agent, state).s_tm1)
        assert 0.1 < np.mean(np.abs(x) > 1) < 0.9


def test_any_two_strategies_and_algorithms_move_the_parameters_differently() -> None:
    """From the same state, with one update. A strategy that is ignored fails here."""
    movements = {
        (algorithm, name): movement(agent_of(algorithm, strategy))
        for algorithm, (name, strategy) in product(ALGORITHMS, STRATEGIES.items())
    }
    assert len(movements) == len(ALGORITHMS) * (len(MEMBERS) + len(CHAINS))
    assert alike(movements) == []


def test_a_strategy_that_does_nothing_or_what_another_does_is_found() -> None:
    class Idle(Strategy):
        pass

    class Scaled(Strategy):
        def transform(self, ascent, context):
            return 1.001 * ascent

    class Again(MEMBERS["inverting"]):
        pass

    known = {name: STRATEGIES[name] for name in ("plain", "inverting")}
    new = {
        "idle": Idle(kind="idle"),
        "scaled": Scaled(kind="scaled"),
        "again": Again(kind="inverting"),
    }
    movements = {
        ("pdqn", name): movement(agent_of("pdqn", strategy))
        for name, strategy in (known | new).items()
    }
    found = {(one[1], other[1]) for one, other in alike(movements)}
    assert found == {
        ("plain", "idle"),
        ("plain", "scaled"),
        ("idle", "scaled"),
        ("inverting", "again"),
    }

"""No two settings are the same run: every strategy, algorithm and number has an effect."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest

from pamdp.agents.learner import Learner
from pamdp.agents.state import LearnerState, Transition
from pamdp.algorithms import ALGORITHMS
from pamdp.lazy import tf
from pamdp.structure import floats, with_floats
from tests.helpers import SPEC, STRATEGIES, differing, experienced, learner, minibatch

FIRST, NEXT = ([0.2, 0.9, 0.4], [0.7, 0.1, 0.3])


def td_errors(agent: Learner, state: LearnerState) -> np.ndarray:
    batch, policy = minibatch(agent, state), agent.policy
    x_t = policy.parameters(state.target_x, batch.s_t)
    q_t = np.max(policy.q_function.values(state.target_q, batch.s_t, x_t), axis=-1)
    q = policy.q_function.taken(state.q, batch.s_tm1, batch.x_tm1, batch.a_tm1)
    return np.asarray(batch.r_t + agent.settings.gamma * batch.continues_t * q_t - q)


def flat(nest: tuple) -> np.ndarray:
    leaves = tf.nest.flatten(nest)
    return np.concatenate([np.ravel(leaf) for leaf in leaves]).astype(np.float64)


def test_any_two_strategies_and_algorithms_move_the_parameters_differently() -> None:
    """From the same state, with one update. A strategy that is ignored fails here."""
    moved = {}
    for algorithm in ALGORITHMS:
        for strategy in STRATEGIES:
            agent = learner(algorithm, strategy, batch_size=64)
            state = experienced(agent)
            if strategy == "plain":
                errors = td_errors(agent, state)
                assert np.min(errors) < -1 < np.max(errors[errors < 0]) < 0 < np.max(errors)
                x = agent.policy.parameters(state.x, minibatch(agent, state).s_tm1)
                assert 0.1 < np.mean(np.abs(x) > 1) < 0.9
            # Adam's very first step shows only signs.
            second = tf.nest.map_structure(tf.ones_like, state.x)
            state = state._replace(moments_x=state.moments_x._replace(second=second))
            moved[algorithm, strategy] = flat(agent.learn(state).x) - flat(state.x)
    assert len(moved) == 3 * 9
    for (one, a), (other, b) in combinations(moved.items(), 2):
        difference = np.linalg.norm(a - b) / np.linalg.norm(a)
        assert difference > 0.01, f"{one} and {other} are the same"


def transition(reward: float, ended: bool) -> Transition:
    """If it is the last of an episode, by truncation."""
    return Transition(
        tf.constant(reward),
        tf.constant(False),
        tf.constant(ended),
        tf.constant(NEXT),
        tf.constant(FIRST if ended else NEXT),
    )


def history(agent: Learner, seed: int = 1) -> list[bytes]:
    """All that a few steps with learning leave behind."""
    state = agent.initial(tf.constant(seed), tf.constant(FIRST))
    for step in range(10):
        state = agent.advance(state, transition(3.0 - step, ended=step not in (4, 7)))
    return [np.asarray(leaf).tobytes() for leaf in tf.nest.flatten(state)]


NOISE = {"kind": "ornstein_uhlenbeck", "theta": 0.15, "sigma": 0.1}
BASE = {
    "learning_starts": 8,
    "n_step": {"steps": 2, "beta": 0.5},
    "exploration": NOISE,
    "gradient_clip": 0.01,
    "epsilon__end": 0.4,
    "epsilon__episodes": 6.0,
    "q__output_std": 0.1,
    "parameters__output_std": 0.1,
}


@cache
def base_history(seed: int) -> list[bytes]:
    return history(learner(**BASE), seed)


@pytest.mark.parametrize("path", list(floats(learner(**BASE).settings)))
def test_every_float_of_the_settings_changes_something(path) -> None:
    value = floats(learner(**BASE).settings)[path]
    other = learner(**BASE | {path.replace(".", "__"): 0.5 * value})
    assert floats(other.settings)[path] == 0.5 * value
    # The schedule of epsilon shows only where a draw lies between the old value and the new.
    seeds = range(1, 6)
    assert any(history(other, n) != base_history(n) for n in seeds), f"{path} has no effect"


def test_the_number_of_steps_ahead_changes_something() -> None:
    agents = [learner(n_step={"steps": steps, "beta": 1.0}, batch_size=64) for steps in (2, 3)]
    state = experienced(agents[0])
    assert "q" in differing(*(agent.learn(state) for agent in agents))


@pytest.mark.parametrize(
    ("strategy", "path"),
    [
        (strategy, path)
        for strategy in ("reversal", "selective", "pseudo_inverse", "reversal_inverting")
        for path in floats(learner(strategy=strategy).policy.strategy)
    ],
)
def test_every_float_of_a_strategy_changes_something(strategy, path) -> None:
    agent = learner("mpdqn", strategy, batch_size=64)
    value = floats(agent.policy.strategy)[path]
    values = with_floats(agent.policy.strategy, {path: value / 2}).model_dump()
    other = learner("mpdqn", values, batch_size=64)
    state = experienced(agent)
    assert "x" in differing(agent.learn(state), other.learn(state)), f"{path} has no effect"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("td_loss", "squared"),
        ("objective", "indexed"),
        ("batch_size", 8),
        ("gradient_clip", None),
        ("n_step", {"steps": 3, "beta": 0.5}),
        ("q.activation", "tanh"),
        ("parameters.activation", "tanh"),
        ("q.hidden", [12, 12]),
        ("parameters.hidden", [8]),
    ],
)
def test_the_structure_of_the_settings_matters(name, value) -> None:
    agent, other = (
        learner(gradient_clip=0.01),
        learner(**{"gradient_clip": 0.01, name.replace(".", "__"): value}),
    )
    a, b = (agent.learn(experienced(agent)) for agent in (agent, other))
    assert [np.asarray(leaf).tolist() for leaf in tf.nest.flatten(a.q)] != [
        np.asarray(leaf).tolist() for leaf in tf.nest.flatten(b.q)
    ] or "x" in differing(a, b)


def test_every_float_of_hand_set_parameters_changes_something() -> None:
    start = {
        "bias": [0.5, 5.0, 0.5, 0.0, 2.5, 0.0],
        "weights": [{"parameter": 1, "feature": 2, "value": 2.0}],
    }
    greedy = {"epsilon__start": 0.0, "epsilon__end": 0.0}
    agent = learner(initial_parameters=start, **greedy)
    hand_set = agent.policy.initial_parameters
    assert hand_set is not None
    assert len(floats(hand_set)) == SPEC.num_parameters + 1
    variants = [None, hand_set.model_dump()]
    for path, value in floats(hand_set).items():
        variants.append(with_floats(hand_set, {path: value + 0.25}).model_dump())
    seen = set()
    for variant in variants:
        other = learner(initial_parameters=variant, **greedy)
        state = other.initial(tf.constant(1), tf.constant(FIRST))
        seen.add(np.asarray(state.choice.parameters).tobytes())
    assert len(seen) == len(variants) == 2 + 7

"""No setting is dead: every number and every choice has an effect.

That every strategy and algorithm has one: tests/conformance/test_distinct.py.
"""

from functools import cache
from typing import Any, get_args

import numpy as np
import pytest

from pamdp.base.component import floats, with_floats
from pamdp.base.lazy import tf
from pamdp.learning.learner import Learner
from pamdp.learning.state import Transition
from pamdp.strategies.members import MEMBERS
from tests.helpers import SPEC, bytes_of, differing, experienced, learner, params, strategy_of

FIRST, NEXT = ([0.2, 0.9, 0.4], [0.7, 0.1, 0.3])


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
    assert "online" in differing(*(agent.learn(state).q_network for agent in agents))


# Every kind that there is with its defaults, and what params.yaml makes of them: chains, too.
STRATEGIES: dict[str, Any] = {kind: {"kind": kind} for kind in MEMBERS} | params()["gradients"]


@pytest.mark.parametrize(
    ("strategy", "path"),
    [(name, path) for name, values in STRATEGIES.items() for path in floats(strategy_of(values))],
)
def test_every_float_of_a_strategy_changes_something(strategy, path) -> None:
    agent = learner("mpdqn", STRATEGIES[strategy], batch_size=64)
    value = floats(agent.policy.strategy)[path]
    values = with_floats(agent.policy.strategy, {path: value / 2 or 0.25}).model_dump()
    assert moved(agent, values), f"{path} has no effect"


@pytest.mark.parametrize(
    ("kind", "field", "choice"),
    [
        (kind, name, choice)
        for kind, member in MEMBERS.items()
        for name, field in member.model_fields.items()
        for choice in get_args(field.annotation)
        if name != "kind" and choice != field.default
    ],
)
def test_every_choice_of_a_strategy_changes_something(kind, field, choice) -> None:
    agent = learner("mpdqn", {"kind": kind}, batch_size=64)
    assert moved(agent, {"kind": kind, field: choice}), f"{field} has no effect"


def moved(agent: Learner, other: Any) -> bool:
    """Whether another strategy moves the parameter network elsewhere."""
    state = experienced(agent)
    after = (each.learn(state) for each in (agent, learner("mpdqn", other, batch_size=64)))
    return "online" in differing(*(each.x_network for each in after))


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
    q, other_q = (bytes_of(state.q_network.online) for state in (a, b))
    assert q != other_q or "online" in differing(a.x_network, b.x_network)


def test_the_number_of_candidates_changes_something() -> None:
    learned = []
    for number in (None, 2, 3):
        agent = learner(candidates=number, objective="indexed", batch_size=64)
        learned.append(bytes_of(agent.learn(experienced(agent)).q_network.online))
    assert len({b"".join(each) for each in learned}) == 3


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

"""Small cells, learners and learner states, made from the real params.yaml."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from pamdp.algorithms import ALGORITHMS
from pamdp.base import seeding
from pamdp.base.algorithm import Algorithm
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.base.spaces import Action, ActionSpec
from pamdp.inheritance import resolved
from pamdp.learning.cell import Cell, CellName, Problem
from pamdp.learning.compiled import CompiledLoop
from pamdp.learning.learner import Learner
from pamdp.learning.learner_settings import LearnerSettings
from pamdp.learning.loop import LoopState
from pamdp.learning.policy import InitialParameters, Policy
from pamdp.learning.replay import Batch
from pamdp.learning.state import LearnerState
from pamdp.settings import Settings
from pamdp.strategies import AnyStrategy

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"

# Unequal sizes, an action without parameters, and bounds that are no units.
SPEC = ActionSpec(
    (
        Action("two", (-1.0, 0.0), (1.0, 10.0)),
        Action("none", (), ()),
        Action("three", (0.0, -5.0, 2.0), (1.0, 5.0, 3.0)),
        Action("one", (-2.0,), (0.5,)),
    )
)
FEATURES = 3
UNIT = ([0.0] * FEATURES, [1.0] * FEATURES)
UNBOUNDED = ([0.0, -np.inf, 0.0], [1.0, np.inf, np.inf])  # on both sides, or on one
SMALL = {
    "batch_size": 16,
    "replay_size": 64,
    "learning_starts": 16,
    "q.hidden": [12],
    "parameters.hidden": [12],
    "parameters.output_std": None,
    "epsilon.episodes": 20.0,
}
CHAIN = "selective_squashing"  # one that bounds the forward pass, which params.yaml has not


def params() -> dict[str, Any]:
    """The values of params.yaml, whole and free to be changed: on Platform, and one more chain."""
    whole = resolved(YAML(typ="safe").load(PARAMS))
    values = json.loads(json.dumps(whole))  # no two keys share a value
    values["study"] |= {"environments": ["platform"], "algorithms": ["pdqn", "mpdqn"]}
    values["gradients"][CHAIN] = [
        {"kind": "selective", "threshold": -1.0, "scope": "taken"},
        {"kind": "squashing"},
    ]
    return values


def changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with other values at dotted paths; a value of `...` deletes the key."""
    values = copy.deepcopy(values)
    for path, value in changes.items():
        *parents, last = path.split(".")
        target: Any = values
        for key in parents:
            target = target[int(key) if isinstance(target, list) else key]
        last = int(last) if isinstance(target, list) else last
        if value is ...:
            del target[last]
        else:
            target[last] = value
    return values


def settings(**changes: Any) -> Settings:
    """The settings of params.yaml with changes; `__` stands for the dots of a path."""
    return Settings.model_validate(changed(params(), undashed(changes)))


def undashed(changes: dict[str, Any]) -> dict[str, Any]:
    return {path.replace("__", "."): value for path, value in changes.items()}


def cell(algorithm: str = "mpdqn", strategy: str = "inverting", **changes: Any) -> Cell:
    """A small cell on Platform; changes are to its environment's block, `learner__gamma=0.5`."""
    values = params()
    small = {f"learner.{path}": value for path, value in SMALL.items()}
    block = changed(values["environments"]["platform"], small | undashed(changes))
    del block["training"], block["return_threshold"]
    return Cell.of(
        CellName("platform", algorithm, strategy),
        Problem.model_validate(block),
        algorithm_of(algorithm),
        strategy_of(values["gradients"][strategy]),
    )


def algorithm_of(kind: str, **settings: Any) -> Any:
    return ALGORITHMS[kind].model_validate({"kind": kind} | settings)


def strategy_of(values: Any) -> Any:
    return TypeAdapter(AnyStrategy).validate_python(values)


def learner(
    algorithm: str | Algorithm = "mpdqn",
    strategy: Any = "plain",
    spec: ActionSpec = SPEC,
    initial_parameters: dict[str, Any] | None = None,
    bounds: tuple[list[float], list[float]] = UNIT,
    **changes: Any,
) -> Learner:
    """A small learner in no environment.

    Args:
      algorithm: its kind, or itself.
      strategy: a name in params.yaml, or its values.
      spec: the action space.
      initial_parameters: hand-set ones.
      bounds: lower and upper ones of observations.
      changes: to the learner's settings, `q__tau=0.5`.
    """
    values = params()
    base = values["environments"]["platform"]["learner"]
    hyper = LearnerSettings.model_validate(changed(base, SMALL | undashed(changes)))
    given = values["gradients"][strategy] if isinstance(strategy, str) else strategy
    made = algorithm_of(algorithm) if isinstance(algorithm, str) else algorithm
    policy = Policy(
        made.choices(spec),
        made.parameter_network(hyper.parameters, spec),
        strategy_of(given),
        made.q_function(hyper.q, spec),
        *(np.array(ends, np.float32) for ends in bounds),
        InitialParameters.model_validate(initial_parameters) if initial_parameters else None,
    )
    return Learner(hyper, policy)


def experienced(learner: Learner, seed: int = 1) -> LearnerState:
    """A state with a full memory: parameters in and out of bounds, rewards of both signs.

    The target networks differ from the online ones, as they do after some updates. With candidates
    it is the same memory, and any action is remembered in each row.
    """
    spec, hyper = learner.policy.spec, learner.settings
    state = learner.initial(tf.constant(seed), tf.constant([0.2, 0.9, 0.4]))
    other = learner.initial(tf.constant(seed + 1), tf.constant([0.2, 0.9, 0.4]))
    random, rows = np.random.default_rng(seed), hyper.replay_size
    continues = random.integers(0, 2, (rows, 1))
    columns = [
        random.uniform(0, 1, (rows, FEATURES)),
        random.normal(0, 1.2, (rows, spec.num_parameters)),
        random.integers(0, spec.num_actions, (rows, 1)),
        random.normal(0, 2, (rows, 1)),
        continues,
        1 - continues * random.integers(0, 2, (rows, 1)),  # half of those that go on
        random.uniform(0, 1, (rows, FEATURES)),
    ]
    if hyper.candidates is not None:
        columns[1] = spec.take(tf.constant(columns[1]), tf.constant(columns[2][:, 0], tf.int32))
    if learner.replay.greedy:
        columns.append(random.integers(0, spec.num_actions, (rows, 1)))
    memory = np.concatenate(columns, axis=1)
    return state._replace(
        step=tf.constant(rows),
        replay=tf.constant(memory, tf.float32),
        x_network=state.x_network._replace(
            online=wide(state.x_network.online), target=wide(other.x_network.online)
        ),
        q_network=state.q_network._replace(target=other.q_network.online),
    )


def wide(weights: tuple) -> tuple:
    """Weights of a parameter network whose outputs lie within the bounds and outside."""
    return tf.nest.map_structure(lambda leaf: 2 * leaf, weights)


def minibatch(learner: Learner, state: LearnerState) -> Batch:
    """The minibatch that the next update of a state is made from, with scaled observations."""
    hyper, scaling = learner.settings, learner.policy.scaling
    filled = tf.minimum(state.step, hyper.replay_size)
    key = seeding.stream(state.seed, Stream.REPLAY, state.step)
    indices = seeding.integers(key, (hyper.batch_size,), filled)
    batch = learner.replay.sample(state.replay, indices)
    s_tm1, s_t = (scaling.apply(state.observed, s) for s in (batch.s_tm1, batch.s_t))
    return batch._replace(s_tm1=s_tm1, s_t=s_t)


def differing(a: Any, b: Any) -> list[str]:
    """The fields of two named tuples that are not equal bit for bit."""
    return [
        name
        for name in a._fields
        if any(
            np.asarray(x).tobytes() != np.asarray(y).tobytes()
            for x, y in zip(
                tf.nest.flatten(getattr(a, name)),
                tf.nest.flatten(getattr(b, name)),
                strict=True,
            )
        )
    ]


def bytes_of(nest: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in tf.nest.flatten(nest)]


def after(subject: Cell, *chunks: int, seed: int = 1) -> LoopState:
    loop = CompiledLoop(subject)
    state = loop.initial(seed)
    for chunk in chunks:
        state = loop.run(state, chunk)
    return state


# Names of folders that mean something in an address, to a shell, or in a template.
ODD_NAMES = (
    "what?x=1",
    "per%20cent",
    "{br}aces",
    "it's",
    'a"b',
    "$HOME",
    "`",
    "a:b",
    "a space",
    "ünïcode",
    "h#sh",
    "%3F",
)

"""What is measured: each case prepares itself and is then called again and again."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
Measure = Callable[[], float]


class Case(NamedTuple):
    """A measurement.

    Attributes:
      prepare: imports, compiles, warms up, and gives what is called for one measurement.
      unit: of the measured numbers.
      cores: how many it may use.
      group: the table that it belongs to.
    """

    prepare: Callable[[], Measure]
    unit: str
    cores: int
    group: str


STEP = "us a step"


def timed(work: Callable[[], Any], count: int, factor: float = 1e6) -> Measure:
    """Time for one of the `count` units of some work, by default in microseconds."""

    def measure() -> float:
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) / count * factor

    return measure


def cell_of(environment: str, algorithm: str, **learner: Any) -> Any:
    """A cell with the settings of params.yaml and `inverting`, other hyper-parameters if given."""
    from ruamel.yaml import YAML

    from pamdp.cells import Cell

    values = YAML(typ="safe").load(ROOT / "params.yaml")
    settings = values["environments"][environment]
    for path, value in learner.items():
        *folders, name = path.split("__")
        place = settings["learner"]
        for folder in folders:
            place = place[folder]
        place[name] = value
    return Cell.model_validate(
        {
            "name": f"{environment}-{algorithm}-inverting",
            "environment": environment,
            "algorithm": algorithm,
            "strategy_name": "inverting",
            "task": settings["task"],
            "initial_parameters": settings["initial_parameters"],
            "learner": settings["learner"],
            "strategy": {"kind": "inverting"},
        }
    )


# -- The loops and the baselines -------------------------------------------------------------------


def compiled(
    environment: str, algorithm: str, seeds: int = 1, steps: int = 4000, **learner
) -> Measure:
    """The compiled loop, `seeds` at a time; the time is that of a step of each."""
    from pamdp.loops import CompiledLoop

    loop = CompiledLoop(cell_of(environment, algorithm, **learner))
    start = loop.cell.learner.learning_starts + 100
    states = [loop.run(loop.initial(seed), start) for seed in range(1, seeds + 1)]

    def run(index: int) -> None:
        states[index] = loop.run(states[index], steps)
        int(states[index].learner.step)  # waits for the result

    def work() -> None:
        others = [threading.Thread(target=run, args=(index,)) for index in range(1, seeds)]
        for thread in others:
            thread.start()
        run(0)
        for thread in others:
            thread.join()

    return timed(work, steps)


def first_written(environment: str) -> Measure:
    """The compiled loop of MP-DQN as one writes it first: K passes, one batch of K B rows."""
    import tensorflow as tf

    from pamdp import programs
    from pamdp.algorithms.base import QFunction, pick

    class Passes(QFunction):
        def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
            num_actions, batch = self.spec.num_actions, s.shape[0]
            own = x[None] * self.spec.owned[:, None]  # [K, B, P]
            rows = tf.concat([tf.repeat(s[None], num_actions, axis=0), own], axis=-1)
            values = self.network.apply(weights, tf.reshape(rows, [-1, rows.shape[-1]]))
            values = tf.reshape(values, [num_actions, batch, num_actions])
            return tf.linalg.diag_part(tf.transpose(values, [1, 0, 2]))

        def taken(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
            return pick(self.values(weights, s, x), action)

    programs.ALGORITHMS["mpdqn"] = Passes
    return compiled(environment, "mpdqn")


def hosted(environment: str, algorithm: str, steps: int = 400) -> Measure:
    """The host loop on the same environment through Gymnasium."""
    from pamdp.envs.gymnasium import Gymnasium
    from pamdp.loops import HostLoop

    cell = cell_of(environment, algorithm)
    task = Gymnasium(kind="gymnasium", id=cell.task.gymnasium_id)
    loop = HostLoop(cell.model_copy(update={"task": task}))
    states = [loop.run(loop.initial(1), cell.learner.learning_starts + 100)]

    def work() -> None:
        states[0] = loop.run(states[0], steps)

    return timed(work, steps)


def baseline(library: str, environment: str, algorithm: str, steps: int = 100) -> Measure:
    """What a user would otherwise write, in PyTorch or TensorFlow."""
    from benchmarks.baseline import Baseline, Problem

    if library == "pytorch":
        from benchmarks.pytorch_agent import TorchAgent as Agent
    else:
        from benchmarks.tensorflow_agent import TensorFlowAgent as Agent
    cell = cell_of(environment, algorithm)
    task = cell.task
    features = len(task.observation_low)
    problem = Problem(cell.learner, task.actions, features, algorithm == "mpdqn")
    loop = Baseline(Agent(problem), problem, task)
    loop.run(cell.learner.learning_starts + 100)
    return timed(lambda: loop.run(steps), steps)


def floor(algorithm: str, environment: str = "platform", updates: int = 100) -> Measure:
    """The matrix products of one update in NumPy, K passes for MP-DQN, and nothing else."""
    cell = cell_of(environment, algorithm)
    spec, learner = cell.task.actions, cell.learner
    s_size, x_size, k = len(cell.task.observation_low), spec.num_parameters, spec.num_actions
    batch, units = learner.batch_size, learner.q.hidden[0]
    rows = batch * (k if algorithm == "mpdqn" else 1)
    random = np.random.default_rng(1)

    def matrix(*shape: int) -> np.ndarray:
        return random.random(shape, np.float32)

    s, w1x, w2x, hx = matrix(batch, s_size), matrix(s_size, units), matrix(units, x_size), None
    z, w1, w2 = matrix(rows, s_size + x_size), matrix(s_size + x_size, units), matrix(units, k)
    hx, h, g, gx = matrix(batch, units), matrix(rows, units), matrix(rows, k), matrix(batch, x_size)

    def update() -> None:
        for _ in range(2):  # x'(s') and x(s)
            s @ w1x, hx @ w2x
        for _ in range(3):  # Q'(s', x'), Q(s, x) of the batch and Q(s, x(s))
            z @ w1, h @ w2
        h.T @ g, z.T @ (g @ w2.T)  # the critic's gradient
        (g @ w2.T) @ w1.T  # dQ/dx
        hx.T @ gx, s.T @ (gx @ w2x.T)  # the parameter network's

    return timed(lambda: [update() for _ in range(updates)], updates)


# -- Acting and evaluating -------------------------------------------------------------------------


def served(batch: int, calls: int = 200) -> Measure:
    """A call of the exported SavedModel."""
    import tensorflow as tf

    from pamdp import export
    from pamdp.loops import loop_of

    cell = cell_of("platform", "mpdqn")
    loop = loop_of(cell)
    with tempfile.TemporaryDirectory() as folder:
        export.save(cell, loop.weights(loop.initial(1)), Path(folder) / "model")
        model = tf.saved_model.load(str(Path(folder) / "model"))
    policy = model.signatures["serving_default"]
    observation = tf.zeros([batch, len(cell.task.observation_low)])

    def work(model: Any = model) -> None:  # which owns the variables
        for _ in range(calls):
            policy(observation=observation)["action"].numpy()

    work()
    return timed(work, calls)


def evaluated(environment: str, episodes: int = 1000) -> Measure:
    """Greedy episodes, side by side."""
    from pamdp.loops import CompiledLoop

    loop = CompiledLoop(cell_of(environment, "mpdqn"))
    weights = loop.weights(loop.run(loop.initial(1), 5000))
    loop.evaluate(weights, 1, 0, episodes)
    return timed(lambda: loop.evaluate(weights, 1, 1, episodes), 1, factor=1e3)


# -- The study around the loops --------------------------------------------------------------------


def checkout(**changes: Any) -> tuple[Any, Path]:
    """Settings of one Platform cell, and a folder that holds what its stages need."""
    from ruamel.yaml import YAML

    from pamdp.records import write_json
    from pamdp.settings import load

    yaml, root = YAML(typ="safe"), Path(tempfile.mkdtemp(prefix="pamdp-bench-"))
    atexit.register(shutil.rmtree, root)
    values = yaml.load(ROOT / "params.yaml")
    values["study"] |= {"algorithms": ["mpdqn"], "strategies": ["inverting"]}
    values["tuning"] |= changes.pop("tuning", {})
    values["environments"]["platform"]["training"] |= changes
    with (root / "params.yaml").open("w") as file:
        yaml.dump(values, file)
    name = "platform-mpdqn-inverting"
    write_json(root / "metrics" / "tune" / name / "best.json", {"values": {}, "score": None})
    write_json(root / "metrics" / "setup" / "versions.json", {"packages": {}})
    return load(root / "params.yaml"), root


def trained(tracking: bool, steps: int = 10_000) -> Measure:
    """The training of a cell with five seeds, as its stage does it."""
    from pamdp.stages.cells import train_cell

    os.environ["PAMDP_TRACKING"] = "on" if tracking else "off"
    settings, root = checkout(steps=steps)
    name = settings.cells[0].name
    train_cell(settings, name, root)
    return timed(lambda: train_cell(settings, name, root), 1, factor=1.0)


def tuned(trials: int = 8, steps: int = 40_000) -> Measure:
    """Share of a search that is not the training of its trials, in percent of a worker's time."""
    from pamdp import tuning

    settings, root = checkout(steps=steps, tuning={"trials": trials})
    cell = settings.cells[0]
    training = settings.tuning.training(settings.environments["platform"].training)
    busy, score = [0.0], tuning.CellStudy._score
    numbers = iter(range(1_000))

    def counted(study: Any, values: dict[str, float]) -> float | None:
        start = time.perf_counter()
        try:
            return score(study, values)
        finally:
            busy[0] += time.perf_counter() - start

    def measure() -> float:
        busy[0], start = 0.0, time.perf_counter()
        mark = f"benchmark-{next(numbers)}"  # a study of its own each time
        list(tuning.CellStudy(cell, settings.tuning, training, mark, root).run(1))
        return 100 * (1 - busy[0] / (time.perf_counter() - start))

    tuning.CellStudy._score = counted
    measure()
    return measure


CASES: dict[str, Case] = {}
for _environment in ("platform", "goal"):
    for _algorithm in ("pdqn", "mpdqn"):
        for _name, _prepare, _cores in (
            ("compiled loop", compiled, 1),
            ("compiled loop, 2 seeds", partial(compiled, seeds=2), 2),
            ("host loop", hosted, 1),
            ("PyTorch", partial(baseline, "pytorch"), 1),
            ("tf.function", partial(baseline, "tensorflow"), 1),
        ):
            CASES[f"{_environment} {_algorithm}: {_name}"] = Case(
                partial(_prepare, _environment, _algorithm), STEP, _cores, "loops"
            )
CASES["platform mpdqn: compiled loop as first written"] = Case(
    partial(first_written, "platform"), STEP, 1, "loops"
)
for _algorithm in ("pdqn", "mpdqn"):
    CASES[f"platform {_algorithm}: matrix products in NumPy"] = Case(
        partial(floor, _algorithm), STEP, 1, "loops"
    )
for _batch in (1, 1024):
    CASES[f"SavedModel, batch {_batch}"] = Case(partial(served, _batch), "us a call", 1, "acting")
for _environment in ("platform", "goal"):
    CASES[f"{_environment}: 1,000 greedy episodes"] = Case(
        partial(evaluated, _environment), "ms", 2, "acting"
    )

for _tracking in (True, False):
    CASES[f"training of 5 seeds, tracking {'on' if _tracking else 'off'}"] = Case(
        partial(trained, _tracking), "s", 2, "study"
    )
CASES["training of 5 seeds, tracking off, 10 times the steps"] = Case(
    partial(trained, False, steps=100_000), "s", 2, "study"
)
CASES["tuning beside its trials"] = Case(tuned, "%", 1, "study")


def _growth(axis: str, value: int, prepare: Callable[[], Measure]) -> None:
    CASES[f"{axis} {value:,}"] = Case(prepare, STEP, 1, axis)


for _steps in (2_000, 20_000):
    _growth("steps a call", _steps, partial(compiled, "platform", "mpdqn", steps=_steps))
for _units in (32, 64, 128, 256, 512):
    _changes = {"q__hidden": [_units], "parameters__hidden": [_units]}
    _growth("hidden units", _units, partial(compiled, "platform", "mpdqn", steps=1000, **_changes))
for _batch in (32, 128, 512):
    _growth("batch", _batch, partial(compiled, "platform", "mpdqn", steps=1000, batch_size=_batch))
for _size in (10_000, 100_000, 1_000_000):
    _growth("replay", _size, partial(compiled, "platform", "mpdqn", steps=2000, replay_size=_size))
for _actuators in (4, 6, 8, 10):
    _task, _steps = f"hard_move_{_actuators}", {4: 200, 6: 50, 8: 20, 10: 4}[_actuators]
    _changes = {"learning_starts": 128, "replay_size": 1000}
    _growth("actions", 2**_actuators, partial(compiled, _task, "mpdqn", steps=_steps, **_changes))
for _seeds in (1, 2, 4):
    CASES[f"seeds {_seeds}"] = Case(
        partial(compiled, "platform", "mpdqn", seeds=_seeds), STEP, 2, "seeds"
    )

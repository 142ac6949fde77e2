"""Measurements of loops, baselines, acting and evaluating.

Each function prepares (imports, compiles, warms up) and gives what is called for one measurement.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
Measure = Callable[[], float]


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

    from pamdp.inheritance import resolved
    from pamdp.settings import Settings

    values = resolved(YAML(typ="safe").load(ROOT / "params.yaml"))
    for path, value in learner.items():
        *folders, name = path.split("__")
        place = values["environments"][environment]["learner"]
        for folder in folders:
            place = place[folder]
        place[name] = value
    chosen = {"environments": [environment], "algorithms": [algorithm], "strategies": ["inverting"]}
    values["study"] |= chosen
    values["tuning"]["trials"] = 0
    return Settings.model_validate(values).cells[0]


# -- The loops and the baselines -------------------------------------------------------------------


def compiled(
    environment: str, algorithm: str, seeds: int = 1, steps: int = 4000, **learner
) -> Measure:
    """The compiled loop, `seeds` at a time; the time is that of a step of each."""
    return _compiled(cell_of(environment, algorithm, **learner), seeds, steps)


def many(actuators: int, algorithm: str, sampled: bool, steps: int) -> Measure:
    """The compiled loop on Hard Move with 2^n actions, all of them or some in each update."""
    suffix = "_sampled" if sampled else ""
    sizes = {"learning_starts": 128} | ({} if sampled else {"replay_size": 1000})
    cell = cell_of(f"hard_move_4{suffix}", algorithm, **sizes)
    # More actuators than the published ones are tried, too.
    task = cell.task.model_copy(update={"actuators": actuators})
    return _compiled(cell.model_copy(update={"task": task}), steps=steps)


def _compiled(cell: Any, seeds: int = 1, steps: int = 4000) -> Measure:
    from pamdp.learning.compiled import CompiledLoop

    loop = CompiledLoop(cell)
    start = loop.cell.learner.learning_starts + 100
    states = [loop.run(loop.initial(seed), start) for seed in range(1, seeds + 1)]

    def run(index: int) -> None:
        # From the same state each time; reading a number waits for the result.
        int(loop.run(states[index], steps).learner.step)

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

    from pamdp.base.algorithm import Algorithm, QFunction, pick
    from pamdp.base.networks import Network
    from pamdp.base.spaces import ActionSpec

    class FirstWritten(Algorithm):
        def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
            return Passes(network, spec)

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

    algorithm = FirstWritten(kind="first_written")
    return _compiled(cell_of(environment, "mpdqn").model_copy(update={"algorithm": algorithm}))


def hosted(environment: str, algorithm: str, steps: int = 400) -> Measure:
    """The host loop on the same environment through Gymnasium."""
    from pamdp.bridge.gymnasium import Gymnasium
    from pamdp.learning.hosted import HostLoop

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


def jax_loop(shared: bool, steps: int = 4000) -> Measure:
    """MP-DQN on Platform in JAX; `shared` computes what the passes share once."""
    import jax

    from benchmarks.jax_loop import Loop

    learner = cell_of("platform", "mpdqn").learner
    loop = Loop(learner, shared)
    run = jax.jit(loop.run)
    state = run(jax.jit(loop.initial)(1), learner.learning_starts + 100)

    def work() -> None:
        jax.block_until_ready(run(state, steps))  # from the same state each time

    return timed(work, steps)


def hand_written(updates: int = 4000) -> Measure:
    """One update of MP-DQN on Platform in C++, by hand, and nothing else."""
    from benchmarks.floor import NUM_Q, NUM_X, ROW, Floor

    floor, random = Floor(), np.random.default_rng(1)
    q, x = (np.zeros([5, size], np.float32) for size in (NUM_Q, NUM_X))
    for weights in (q, x):
        weights[:2] = random.uniform(-0.1, 0.1, weights.shape[1])
    rows = random.uniform(-1, 1, [10_000, ROW]).astype(np.float32)
    rows[:, 12] = random.integers(3, size=len(rows))  # actions
    rows[:, 14] = random.random(len(rows)) < 0.9  # goes on
    return timed(lambda: floor.updates(q, x, rows, updates), updates)


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

    s, w1x, w2x = matrix(batch, s_size), matrix(s_size, units), matrix(units, x_size)
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


def served(batch: int, plainly: bool = False, calls: int = 1000) -> Measure:
    """A call of an exported policy: through `Model`, or `plainly` through TensorFlow alone."""
    import tensorflow as tf

    from pamdp import export
    from pamdp.learning.loops import loop_of
    from pamdp.serving import Model

    cell = cell_of("platform", "mpdqn")
    loop = loop_of(cell)
    with tempfile.TemporaryDirectory() as folder:
        export.save(cell, loop.weights(loop.initial(1)), Path(folder) / "model")
        model = Model(Path(folder) / "model")
        serve = tf.saved_model.load(str(Path(folder) / "model")).signatures["serving_default"]
    rows = np.zeros([batch, len(cell.task.observation_low)], np.float32)

    def work() -> None:
        for _ in range(calls):
            serve(observation=tf.constant(rows))["action"].numpy() if plainly else model(rows)

    work()
    return timed(work, calls)


def evaluated(environment: str, episodes: int = 1000) -> Measure:
    """Greedy episodes, side by side."""
    from pamdp.learning.compiled import CompiledLoop

    loop = CompiledLoop(cell_of(environment, "mpdqn"))
    weights = loop.weights(loop.run(loop.initial(1), 5000))
    loop.evaluate(weights, 1, 0, episodes)
    return timed(lambda: loop.evaluate(weights, 1, 1, episodes), 1, factor=1e3)


# -- Many copies of an environment -----------------------------------------------------------------


def vector(environment: str, mode: str, copies: int, seconds: float = 1.0) -> Measure:
    """Steps of all copies of an environment through `gymnasium.make_vec`, with random actions.

    The time is the processor's: one core does all of it, and what else that core does is left out.
    """
    import gymnasium

    import pamdp  # noqa: F401  registers them

    made = gymnasium.make_vec(environment, copies, mode)
    made.action_space.seed(1)
    made.reset(seed=1)
    actions = [made.action_space.sample() for _ in range(8)]

    def work(calls: int) -> float:
        start = time.process_time()
        for call in range(calls):
            made.step(actions[call % len(actions)])
        return time.process_time() - start

    work(1)  # compiles
    calls = max(1, round(seconds / work(2) * 2))
    return lambda: work(calls) / (calls * copies) * 1e6

"""Training a cell with one seed, from the settings to the curves and the weights."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from pamdp.base.calls import on_cpu
from pamdp.base.component import Component, Count, floats
from pamdp.base.errors import TrainingError
from pamdp.base.lazy import tf
from pamdp.learning.cell import Cell
from pamdp.learning.loop import Loop, LoopState
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Weights
from pamdp.learning.rollout import Episodes
from pamdp.learning.state import LearnerState, Statistics

LARGE = 1e4  # of a float of a cell, where nothing else is said
_USUAL = {"learner.reward_scale": 10.0, "learner.gradient_clip": np.inf}
for _network in ("q", "parameters"):
    _USUAL |= {f"learner.{_network}.output_std": 10.0, f"learner.{_network}.learning_rate": 0.1}
_TRACING = threading.Lock()  # in one thread at a time, as `Loop.prepare` has it
# When to give a checkpoint, never what: results do not depend on it. Seeds that share a core take
# turns at them, and a worker that is lost costs no more; but a large one takes time to be written.
CHECKPOINT_SECONDS = 2.5
CHECKPOINT_BYTES = 10e6  # beyond which it is given more rarely, in proportion


class Training(Component):
    """Length of a training run, in environment steps.

    Attributes:
      steps: steps of each seed.
      report_every: steps between two points of the learning curves.
      evaluation_episodes: greedy episodes at each point.
    """

    steps: Count
    report_every: Count
    evaluation_episodes: Count


class Point(NamedTuple):
    """A point of the learning curves: metrics by name at a number of environment steps.

    `earlier` tells that an interrupted run had got there before.
    """

    step: int
    metrics: dict[str, float]
    earlier: bool = False


class Checkpoint(NamedTuple):
    """All that a run needs to go on, as plain values.

    Attributes:
      leaves: the arrays of its `LoopState`, flattened.
      points: those of the curves so far, each `[step, metrics]`.
    """

    leaves: list[np.ndarray]
    points: list[list]


class TrainResult(NamedTuple):
    """A trained seed: its curves and the weights as arrays."""

    seed: int
    points: list[Point]
    weights: Weights


def train(
    cell: Cell, seed: int, training: Training, checkpoint: Checkpoint | None = None
) -> Generator[Point | Checkpoint, None, TrainResult]:
    """Trains one seed; a generator, so that several can take turns on a few workers.

    Args:
      cell: what to train.
      seed: of every random number of the run.
      training: how long.
      checkpoint: where to go on; None for the start. A run that goes on yields the points it had,
        and ends with the same bytes. One that does not fit the cell is not used.

    Yields:
      The points of the learning curves, and now and then a checkpoint if the loop is resumable.

    Returns:
      The result.

    Raises:
      TrainingError: if a number is no longer finite.
    """
    with closing(loop_of(cell)) as loop:
        with _TRACING:
            loop.prepare(training.evaluation_episodes)
        state, points = yield from _trained(loop, seed, training, checkpoint)
        return TrainResult(seed, points, tf.nest.map_structure(np.asarray, loop.weights(state)))


@on_cpu()
def resumed(checkpoint: Checkpoint | None, like: LoopState) -> tuple[LoopState, list[Point]] | None:
    """The state and the points of a checkpoint; None if it has not shapes and seed of `like`."""
    if checkpoint is None:
        return None
    expected = [(tuple(x.shape), np.dtype(x.dtype.as_numpy_dtype)) for x in tf.nest.flatten(like)]
    if [(leaf.shape, leaf.dtype) for leaf in checkpoint.leaves] != expected:
        return None
    state = tf.nest.pack_sequence_as(like, [tf.constant(leaf) for leaf in checkpoint.leaves])
    if int(state.learner.seed) != int(like.learner.seed):
        return None
    return state, [Point(step, metrics) for step, metrics in checkpoint.points]


def _trained(
    loop: Loop, seed: int, training: Training, checkpoint: Checkpoint | None
) -> Generator[Point | Checkpoint, None, tuple[LoopState, list[Point]]]:
    """Runs a loop to its end; yields the points on the way."""
    state, points = loop.initial(seed), []
    saved = resumed(checkpoint, state)
    if saved:
        state, points = saved
        yield from (point._replace(earlier=True) for point in points)
    given, pause = time.monotonic(), pause_between(state) if loop.resumable else math.inf
    while (step := int(state.learner.step)) < training.steps:
        step = min(step + training.report_every, training.steps)
        state = loop.run(state, step - int(state.learner.step))
        episodes = loop.evaluate(loop.weights(state), seed, step, training.evaluation_episodes)
        points.append(Point(step, _metrics(loop.cell, state.learner, episodes)))
        _check_finite(loop.cell, seed, points[-1])
        state = _with_fresh_statistics(state)
        if time.monotonic() - given > pause:
            leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(state)]
            yield Checkpoint(leaves, [[point.step, point.metrics] for point in points])
            given = time.monotonic()
        yield points[-1]
    return state, points


def pause_between(state: LoopState) -> float:
    """The seconds from one checkpoint of such a state to the next."""
    size = sum(np.asarray(leaf).nbytes for leaf in tf.nest.flatten(state))
    return CHECKPOINT_SECONDS * max(1.0, size / CHECKPOINT_BYTES)


@on_cpu()
def _metrics(cell: Cell, state: LearnerState, episodes: Episodes) -> dict[str, float]:
    """Means since the last point; none where nothing was counted or told."""
    sums = Statistics(*(float(value) for value in state.statistics))
    metrics = {"train/epsilon": float(cell.learner.epsilon.at(state.episodes))}
    if sums.episodes:
        metrics["train/return"] = sums.episode_return / sums.episodes
        metrics["train/length"] = sums.episode_length / sums.episodes
    if sums.updates:
        metrics["train/td_loss"] = sums.td_loss / sums.updates
        metrics["train/q_mean"] = sums.q / sums.updates
        metrics["train/clipped_share"] = sums.clipped / sums.updates
        metrics["train/near_bound_share"] = sums.near_bound / sums.updates
    metrics["eval/return"] = float(np.mean(episodes.returns))
    metrics["eval/length"] = float(np.mean(episodes.lengths))
    success = float(np.mean(episodes.successes))
    if not np.isnan(success):
        metrics["eval/success"] = success
    return metrics


@on_cpu()
def _with_fresh_statistics(state: LoopState) -> LoopState:
    return state._replace(learner=state.learner._replace(statistics=Statistics.empty()))


def _check_finite(cell: Cell, seed: int, point: Point) -> None:
    for name, value in point.metrics.items():
        if not np.isfinite(value):
            raise TrainingError(
                f"{cell.name}, seed {seed}, step {point.step}: expected a finite {name}, received "
                f"{value}; learning diverged. Try {advice(cell)}"
            )


def advice(cell: Cell) -> str:
    """What to make smaller: what is unusually large comes before the usual reason."""
    large = [
        f"{path} ({value:g})"
        for path, value in floats(cell).items()
        if abs(value) > _USUAL.get(path, LARGE) and not path.startswith("learner.epsilon.")
    ]
    smaller = f"a smaller {' and '.join(large)}, which is large, or " if large else ""
    clip = "a gradient_clip" if cell.learner.gradient_clip is None else "a smaller gradient_clip"
    return f"{smaller}smaller learning rates or {clip}"

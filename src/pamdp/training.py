"""Training a cell with one seed, from the settings to the curves and the weights."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pamdp import checkpoint
from pamdp.agents.policy import Weights
from pamdp.agents.state import LearnerState, Statistics
from pamdp.evaluation import Episodes
from pamdp.lazy import tf
from pamdp.loops import CompiledLoop, HostLoop, LoopState, loop_of
from pamdp.settings import Cell, Training

CHECKPOINT_SECONDS = 10.0  # when to write, never what: results do not depend on it


class TrainingError(RuntimeError):
    """Training cannot go on; the message says where and what to change."""


class Point(NamedTuple):
    """A point of the learning curves: metrics by name at a number of environment steps.

    `earlier` tells that an interrupted run had got there before.
    """

    step: int
    metrics: dict[str, float]
    earlier: bool = False


class TrainResult(NamedTuple):
    """A trained seed: its curves and the weights as arrays."""

    seed: int
    points: list[Point]
    weights: Weights


def train(
    cell: Cell, seed: int, training: Training, checkpoint_path: Path | None = None
) -> Generator[Point, None, TrainResult]:
    """Trains one seed; a generator, so that several can take turns on a few workers.

    Args:
      cell: what to train.
      seed: of every random number of the run.
      training: how long.
      checkpoint_path: where to keep the state for resuming; None for nowhere. A run that is
        resumed yields the points it had, then goes on, and ends with the same bytes. It is for
        the compiled loop; a run on the host starts anew.

    Yields:
      The points of the learning curves.

    Returns:
      The result.

    Raises:
      TrainingError: if a number is no longer finite.
    """
    with closing(loop_of(cell)) as loop:
        path = checkpoint_path if loop.resumable else None
        state, points = yield from _trained(loop, seed, training, path)
        return TrainResult(seed, points, tf.nest.map_structure(np.asarray, loop.weights(state)))


def _trained(
    loop: CompiledLoop | HostLoop, seed: int, training: Training, path: Path | None
) -> Generator[Point, None, tuple[LoopState, list[Point]]]:
    """Runs a loop to its end; yields the points on the way."""
    state, points = loop.initial(seed), []
    saved = path and checkpoint.restore(path, state)
    if saved:
        state, points = saved[0], [Point(step, metrics) for step, metrics, _ in saved[1]]
        yield from (point._replace(earlier=True) for point in points)
    written = time.monotonic()
    while (step := int(state.learner.step)) < training.steps:
        step = min(step + training.report_every, training.steps)
        state = loop.run(state, step - int(state.learner.step))
        episodes = loop.evaluate(loop.weights(state), seed, step, training.evaluation_episodes)
        points.append(Point(step, _metrics(loop.cell, state.learner, episodes)))
        _check_finite(loop.cell, seed, points[-1])
        state = _with_fresh_statistics(state)
        if path and time.monotonic() - written > CHECKPOINT_SECONDS:
            checkpoint.save(path, state, points)
            written = time.monotonic()
        yield points[-1]
    return state, points


def _metrics(cell: Cell, state: LearnerState, episodes: Episodes) -> dict[str, float]:
    """Means since the last point; none where nothing was counted."""
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
    metrics["eval/success"] = float(np.mean(episodes.successes))
    return metrics


def _with_fresh_statistics(state: LoopState) -> LoopState:
    statistics = tf.nest.map_structure(tf.zeros_like, state.learner.statistics)
    return state._replace(learner=state.learner._replace(statistics=statistics))


def _check_finite(cell: Cell, seed: int, point: Point) -> None:
    for name, value in point.metrics.items():
        if not np.isfinite(value):
            raise TrainingError(
                f"{cell.name}, seed {seed}, step {point.step}: expected a finite {name}, received "
                f"{value}; learning diverged. Try smaller learning rates or a gradient_clip"
            )

"""Trains all seeds of a cell, side by side."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pamdp import checkpoint
from pamdp.checkout import Checkout
from pamdp.files import write_csv
from pamdp.learning.training import Checkpoint, Point, TrainResult, train
from pamdp.progress import Progress
from pamdp.records import Run
from pamdp.stages import ahead
from pamdp.stages.engine import engine_for
from pamdp.stages.live import Live
from pamdp.stages.results import cell_of, child, fingerprint, record, tuned
from pamdp.tracking import Sink, open_sink

Curves = Mapping[int, Sequence[Point]]  # by seed


def run(options: Namespace) -> None:
    """Trains the cell of the command line."""
    checkout, name = Checkout.here(), options.cell
    ahead.take(train_ahead(checkout, name, checkout.tune(name)), checkout.train(name))


def train_ahead(checkout: Checkout, name: str, found: Path) -> Path:
    """The folder of what the training of a cell gives, which runs if need be.

    Args:
      checkout: of the study.
      name: of the cell.
      found: the folder of what its search gave.
    """

    def make(folder: Path) -> None:
        train_cell(checkout, name, found, folder)

    return ahead.made(checkout, lambda here: ahead.training(here, name, found), make)


def train_cell(checkout: Checkout, name: str, found: Path, folder: Path) -> None:
    """Trains all seeds of a cell.

    Args:
      checkout: of the study.
      name: of the cell.
      found: the folder of what its search gave.
      folder: what is written.
    """
    settings = checkout.settings
    cell = tuned(checkout, cell_of(checkout, name), found)
    training = settings.environments[cell.name.environment].training
    parent = record(
        cell, "train", fingerprint(checkout, "train", cell, training), training=training
    )
    checkpoints = checkout.checkpoints(name) / parent.fingerprint
    seeds = settings.study.seeds
    paths = [checkpoints / f"seed-{seed}.npz" for seed in seeds]
    with (
        open_sink(settings.study.name, checkout.root) as sink,
        Progress(f"train {name}", training.steps * len(seeds)) as progress,
        engine_for(checkout, [cell], len(seeds)) as engine,
    ):
        sink.put(parent)
        parent.write(checkpoints / "record.json")  # what the checkpoints there are of
        follow = _follower(seeds, Live(checkout, name), progress, parent, sink)

        def told(index: int, event: Point | Checkpoint) -> None:
            if isinstance(event, Checkpoint):
                checkpoint.save(paths[index], event)
            else:
                follow(seeds[index], event)

        items = [
            (cell, seed, training, checkpoint.restore(path))
            for seed, path in zip(seeds, paths, strict=True)
        ]
        results = engine.map(train, items, told, resumes=Checkpoint)
        # What was told may be of two attempts, where an environment cannot be seeded.
        finished = training_run(parent, {result.seed: result.points for result in results})
        _write(folder, results)
        finished.write(folder / "record.json")  # says that all is there
        sink.put(finished, final=True)
    shutil.rmtree(checkout.checkpoints(name), ignore_errors=True)


def _follower(
    seeds: Sequence[int], live: Live, progress: Progress, parent: Run, sink: Sink
) -> Callable[[int, Point], None]:
    """What is given each seed's points, in their order, and shows them."""
    curves: dict[int, list[Point]] = {seed: [] for seed in seeds}

    def follow(seed: int, point: Point) -> None:
        curve = curves[seed]
        if curve and point.step <= curve[-1].step:
            return  # it goes on elsewhere, and has told this before
        steps = point.step - (curve[-1].step if curve else 0)
        curve.append(point)
        progress.update(steps, point.earlier, mean_return=_latest(curves))
        sink.put(training_run(parent, curves))
        live.show(curves)

    return follow


def _latest(curves: Curves) -> float:
    """The mean over seeds of their newest return."""
    return float(
        np.mean([points[-1].metrics["eval/return"] for points in curves.values() if points])
    )


def training_run(parent: Run, curves: Curves) -> Run:
    """The record of a training: one child for each seed, with the points so far."""
    if not any(curves.values()):
        return parent
    children = [
        child(parent, "seed", seed, parameters={"seed": seed}, metrics=_series(curve))
        for seed, curve in curves.items()
    ]
    # The mean greedy return over the seeds, as far as all of them are.
    mean = [
        (points[0].step, float(np.mean([point.metrics["eval/return"] for point in points])))
        for points in zip(*curves.values(), strict=False)
    ]
    return parent.model_copy(update={"metrics": {"eval/return": mean}, "children": children})


def _series(curve: Sequence[Point]) -> dict[str, list[tuple[int, float]]]:
    """Points by metric."""
    series: dict[str, list[tuple[int, float]]] = {}
    for point in curve:
        for name, value in point.metrics.items():
            series.setdefault(name, []).append((point.step, value))
    return series


def _write(folder: Path, results: Sequence[TrainResult]) -> None:
    """Writes the learning curves as a table, and the weights."""
    curves = {result.seed: result.points for result in results}
    found = {name for curve in curves.values() for p in curve for name in p.metrics}
    names = sorted(found | {"eval/success"})  # a column that may be empty
    rows = [
        [seed, point.step, *(point.metrics.get(name) for name in names)]
        for seed, curve in curves.items()
        for point in curve
    ]
    write_csv(folder / "curves.csv", [["seed", "step", *names], *rows])
    weights = {result.seed: result.weights for result in results}
    checkpoint.save_weights(folder / "weights.npz", weights)

"""Training and evaluation of one cell: run the tasks, keep the record, show progress.

The coordinator is here: it alone touches files and MLflow.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from pamdp import checkpoint
from pamdp.agents.policy import Weights
from pamdp.cells import Cell, fingerprint
from pamdp.engines import workers
from pamdp.engines.threads import interleave
from pamdp.evaluation import Episodes
from pamdp.loops import loop_of
from pamdp.programs import Program, learner_of
from pamdp.progress import Progress
from pamdp.records import read_json, write_csv
from pamdp.settings import Settings
from pamdp.stages import WORK
from pamdp.stages.runs import training_run, versions
from pamdp.tracking import Tracker
from pamdp.training import Point, TrainResult, train


def tuned(cell: Cell, root: Path) -> Cell:
    """The cell with the values that its study found best."""
    return cell.replace(read_json(root / "metrics" / "tune" / cell.name / "best.json")["values"])


def trained(cell: Cell, root: Path) -> dict[int, Weights]:
    """The weights that training gave, by seed."""
    like = learner_of(cell).evaluated(Program.of(cell).like)
    return checkpoint.load_weights(root / "metrics" / "train" / cell.name / "weights.npz", like)


def train_cell(settings: Settings, name: str, root: Path) -> None:
    """Trains all seeds of a cell and writes `metrics/train/<cell>/`."""
    cell = tuned(settings.cell(name), root)
    training = settings.environments[cell.environment].training
    mark = fingerprint(cell, training, versions(root))
    work = root / WORK / "train" / name
    results: dict[int, TrainResult] = {}
    curves: dict[int, list[Point]] = {seed: [] for seed in settings.study.seeds}
    seeds = list(curves)

    def task(seed: int) -> Generator[Point, None, None]:
        results[seed] = yield from train(cell, seed, training, work / mark / f"seed-{seed}.npz")

    progress = Progress(f"train {name}", training.steps * len(seeds))
    loop_of(cell).prepare(training.evaluation_episodes)
    with Tracker(settings.study.name, root) as tracker, progress:
        tracker.put(training_run(cell, training, mark, {}))
        for index, point in interleave([task(seed) for seed in seeds], workers()):
            curve = curves[seeds[index]]
            steps = point.step - (curve[-1].step if curve else 0)
            curve.append(point)
            latest = [c[-1].metrics["eval/return"] for c in curves.values() if c]
            count = progress.resumed if point.earlier else progress.update
            count(steps, mean_return=sum(latest) / len(latest))
            tracker.put(training_run(cell, training, mark, {s: [*curves[s]] for s in seeds}))
        record = training_run(cell, training, mark, curves)
        folder = root / "metrics" / "train" / name
        _write_curves(folder / "curves.csv", curves)
        weights = {seed: results[seed].weights for seed in seeds}
        checkpoint.save_weights(folder / "weights.npz", weights)
        record.write(folder / "record.json")
        tracker.put(record, final=True)
    shutil.rmtree(work, ignore_errors=True)


def evaluate_cell(settings: Settings, name: str, root: Path) -> dict[int, Episodes]:
    """The final greedy episodes of a cell's seeds, by seed."""
    cell = tuned(settings.cell(name), root)
    weights = trained(cell, root)

    def task(seed: int) -> Episodes:
        # Evaluations during training are numbered by their step; this one is number 0.
        with closing(loop_of(cell)) as loop:
            return loop.evaluate(weights[seed], seed, 0, settings.evaluation.episodes)

    with ThreadPoolExecutor(workers()) as pool:
        return dict(zip(weights, pool.map(task, weights), strict=True))


def _write_curves(path: Path, curves: dict[int, list[Point]]) -> None:
    names = sorted({name for curve in curves.values() for p in curve for name in p.metrics})
    rows = (
        [seed, point.step, *(point.metrics.get(name) for name in names)]
        for seed, curve in curves.items()
        for point in curve
    )
    write_csv(path, ["seed", "step", *names], rows)

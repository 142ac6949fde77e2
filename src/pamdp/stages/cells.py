"""What the stages of the pipeline do for one cell: run the tasks, keep the record, show progress.

The coordinator is here: it alone touches files, Optuna and MLflow.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.engines import workers
from pamdp.engines.threads import interleave
from pamdp.evaluation import Episodes
from pamdp.lazy import tf
from pamdp.loops import loop_of
from pamdp.progress import Progress
from pamdp.records import Run, read_json, write_json
from pamdp.settings import Cell, Settings, fingerprint
from pamdp.stages import WORK
from pamdp.structure import Component, leaves
from pamdp.tracking import Tracker
from pamdp.training import Point, TrainResult, train

def tuned(cell: Cell, root: Path) -> Cell:
    """The cell with the values that its study found best."""
    return cell.replace(read_json(root / "metrics" / "tune" / cell.name / "best.json")["values"])


def tags(cell: Cell, stage_name: str) -> dict[str, str]:
    """What runs of a cell are searched by."""
    return {
        "stage": stage_name,
        "cell": cell.name,
        "environment": cell.environment,
        "algorithm": cell.algorithm,
        "strategy": cell.strategy_name,
        "initial_parameters": "none" if cell.initial_parameters is None else "hand-set",
    }


def tune_cell(settings: Settings, name: str, root: Path) -> None:
    """Runs a cell's study and writes `metrics/tune/<cell>/`."""
    from pamdp.tuning import CellStudy, Trial  # Optuna is needed here only

    cell, tuning = settings.cell(name), settings.tuning
    study = CellStudy(cell, tuning, fingerprint(cell, tuning), root)
    trials: list[Trial] = []

    def record() -> Run:
        return Run(
            key=f"tune/{name}",
            fingerprint=study.fingerprint,
            tags=tags(cell, "tune"),
            parameters={**cell.flattened(), **_prefixed("tuning", tuning)},
            children=[
                Run(
                    key=f"tune/{name}/trial-{trial.number}",
                    fingerprint=study.fingerprint,
                    tags={**tags(cell, "tune"), "trial": str(trial.number)},
                    parameters=dict(trial.values),
                    metrics={}
                    if trial.score is None
                    else {"score": [(tuning.training.steps, trial.score)]},
                )
                for trial in trials
            ],
        )

    progress = Progress(f"tune {name}", tuning.trials, "trial")
    with Tracker(settings.study.name, root) as tracker, progress:
        for trial in study.run(workers()) if tuning.trials else ():
            trials.append(trial)
            tracker.put(record())
            progress.update(1, score=trial.score or 0.0)
        best = study.best(trials)
        folder = root / "metrics" / "tune" / name
        paths = sorted(study.distributions)
        rows = [[t.number, t.score, *(t.values[path] for path in paths)] for t in trials]
        write_json(
            folder / "best.json",
            {"values": best.values if best else {}, "score": best.score if best else None},
        )
        write_csv(folder / "trials.csv", ["trial", "score", *paths], rows)
        record().write(folder / "record.json")
        tracker.put(record(), final=True)


def train_cell(settings: Settings, name: str, root: Path) -> None:
    """Trains all seeds of a cell and writes `metrics/train/<cell>/`."""
    cell, training, seeds = tuned(settings.cell(name), root), settings.training, settings.study.seeds
    mark = fingerprint(cell, training)
    work = root / WORK / f"train-{mark}"
    results: dict[int, TrainResult] = {}
    curves: dict[int, list[Point]] = {seed: [] for seed in seeds}

    def task(seed: int) -> Generator[Point, None, None]:
        results[seed] = yield from train(cell, seed, training, work / f"seed-{seed}.npz")

    def record() -> Run:
        return Run(
            key=f"train/{name}",
            fingerprint=mark,
            tags=tags(cell, "train"),
            parameters={**cell.flattened(), **_prefixed("training", training)},
            metrics={"eval/return": _mean_curve(curves.values())},
            children=[
                Run(
                    key=f"train/{name}/seed-{seed}",
                    fingerprint=mark,
                    tags={**tags(cell, "train"), "seed": str(seed)},
                    parameters={"seed": seed},
                    metrics=_series(curves[seed]),
                )
                for seed in seeds
            ],
        )

    progress = Progress(f"train {name}", training.steps * len(seeds))
    with Tracker(settings.study.name, root) as tracker, progress:
        for index, point in interleave([task(seed) for seed in seeds], workers()):
            curve = curves[seeds[index]]
            progress.update(
                point.step - (curve[-1].step if curve else 0),
                **{"return": point.metrics["eval/return"]},
            )
            curve.append(point)
            tracker.put(record())
        folder = root / "metrics" / "train" / name
        names = sorted({name for curve in curves.values() for p in curve for name in p.metrics})
        rows = [
            [seed, p.step, *(p.metrics.get(name) for name in names)]
            for seed in seeds
            for p in curves[seed]
        ]
        write_csv(folder / "curves.csv", ["seed", "step", *names], rows)
        save_weights(folder / "weights.npz", {seed: results[seed].weights for seed in seeds})
        record().write(folder / "record.json")
        tracker.put(record(), final=True)
    shutil.rmtree(work, ignore_errors=True)


def evaluate_cell(settings: Settings, name: str, root: Path) -> dict[int, Episodes]:
    """The final greedy episodes of a cell's seeds, by seed."""
    cell = tuned(settings.cell(name), root)
    weights = load_weights(root / "metrics" / "train" / name / "weights.npz", cell)

    def task(seed: int) -> Episodes:
        # Evaluations during training are numbered by their step; this one is number 0.
        return loop_of(cell).evaluate(weights[seed], seed, 0, settings.evaluation.episodes)

    with ThreadPoolExecutor(workers()) as pool:
        return dict(zip(weights, pool.map(task, weights), strict=True))


def save_weights(path: Path, weights: Mapping[int, tuple]) -> None:
    """Writes the weights of all seeds as one `.npz`, arrays `<seed>/<number of the leaf>`."""
    arrays = {
        f"{seed}/{index}": leaf
        for seed, nest in weights.items()
        for index, leaf in enumerate(tf.nest.flatten(nest))
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def load_weights(path: Path, cell: Cell) -> dict[int, tuple]:
    """Reads what `save_weights` wrote, by seed."""
    loop = loop_of(cell)
    like = loop.weights(loop.initial(0))
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    seeds = list(dict.fromkeys(int(name.split("/")[0]) for name in arrays))
    count = len(tf.nest.flatten(like))
    return {
        seed: tf.nest.pack_sequence_as(like, [arrays[f"{seed}/{i}"] for i in range(count)])
        for seed in seeds
    }


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    """Writes a table; a missing value is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *rows])


def _prefixed(name: str, component: Component) -> dict[str, Any]:
    return {f"{name}.{path}": leaf for path, leaf in leaves(component)}


def _series(curve: list[Point]) -> dict[str, list[tuple[int, float]]]:
    """Points by metric."""
    series: dict[str, list[tuple[int, float]]] = {}
    for point in curve:
        for name, value in point.metrics.items():
            series.setdefault(name, []).append((point.step, value))
    return series


def _mean_curve(curves: Iterable[list[Point]]) -> list[tuple[int, float]]:
    """The mean greedy return over the seeds, as far as all of them are."""
    return [
        (points[0].step, float(np.mean([point.metrics["eval/return"] for point in points])))
        for points in zip(*curves, strict=False)
    ]

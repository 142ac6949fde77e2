"""The records that the stages write: what a study and a training were, and gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pamdp.cells import Cell
from pamdp.records import Run, read_json
from pamdp.settings import Training
from pamdp.structure import Component, leaves
from pamdp.training import Point

if TYPE_CHECKING:
    from pamdp.tuning import CellStudy, Trial


def initial_parameters(cell: Cell) -> str:
    """Whether hand-set parameters were used: `none` or `hand-set`."""
    return "none" if cell.initial_parameters is None else "hand-set"


def versions(root: Path) -> dict[str, Any]:
    """The installed versions that results depend on, as setup found them."""
    return read_json(root / "metrics" / "setup" / "versions.json")


def tags(cell: Cell, stage: str) -> dict[str, str]:
    """What runs of a cell are searched by."""
    return {
        "stage": stage,
        "cell": cell.name,
        "environment": cell.environment,
        "algorithm": cell.algorithm,
        "strategy": cell.strategy_name,
        "initial_parameters": initial_parameters(cell),
    }


def tuning_run(study: CellStudy, trials: Sequence[Trial]) -> Run:
    """The record of a study: one child for each trial told so far."""
    cell, fingerprint = study.cell, study.fingerprint
    key, labels = f"tune/{cell.name}", tags(cell, "tune")
    children = [
        Run(
            key=f"{key}/trial-{trial.number}",
            fingerprint=fingerprint,
            tags={**labels, "trial": str(trial.number)},
            parameters=dict(trial.values),
            metrics=_score(trial, study.training),
        )
        for trial in trials
    ]
    return Run(
        key=key,
        fingerprint=fingerprint,
        tags=labels,
        parameters={
            **cell.flattened(),
            **_prefixed("tuning", study.tuning),
            **_prefixed("training", study.training),
        },
        children=children,
    )


def training_run(
    cell: Cell, training: Training, fingerprint: str, curves: Mapping[int, Sequence[Point]]
) -> Run:
    """The record of a training: one child for each seed, with the points so far."""
    key, labels = f"train/{cell.name}", tags(cell, "train")
    children = [
        Run(
            key=f"{key}/seed-{seed}",
            fingerprint=fingerprint,
            tags={**labels, "seed": str(seed)},
            parameters={"seed": seed},
            metrics=_series(curve),
        )
        for seed, curve in curves.items()
    ]
    return Run(
        key=key,
        fingerprint=fingerprint,
        tags=labels,
        parameters={**cell.flattened(), **_prefixed("training", training)},
        metrics={"eval/return": _mean_curve(curves.values())},
        children=children,
    )


def _score(trial: Trial, training: Training) -> dict[str, list[tuple[int, float]]]:
    return {} if trial.score is None else {"score": [(training.steps, trial.score)]}


def _prefixed(name: str, component: Component) -> dict[str, Any]:
    return {f"{name}.{path}": leaf for path, leaf in leaves(component)}


def _series(curve: Sequence[Point]) -> dict[str, list[tuple[int, float]]]:
    """Points by metric."""
    series: dict[str, list[tuple[int, float]]] = {}
    for point in curve:
        for name, value in point.metrics.items():
            series.setdefault(name, []).append((point.step, value))
    return series


def _mean_curve(curves: Iterable[Sequence[Point]]) -> list[tuple[int, float]]:
    """The mean greedy return over the seeds, as far as all of them are."""
    return [
        (points[0].step, float(np.mean([point.metrics["eval/return"] for point in points])))
        for points in zip(*curves, strict=False)
    ]

"""Saves the best seed of each cell as a SavedModel, and proves that it acts the same."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from pamdp import export
from pamdp.base.task import Task
from pamdp.checkout import Checkout
from pamdp.files import read_json, write_json
from pamdp.learning.cell import Cell
from pamdp.learning.policy import Weights
from pamdp.learning.rollout import Episodes
from pamdp.progress import Progress
from pamdp.records import Run, Summary
from pamdp.stages.engine import engine_for, suited
from pamdp.stages.results import cells, initial_parameters, packed, saved, tuned
from pamdp.tracking import open_sink

CARD = Path(__file__).with_suffix(".md")  # the template of a model card

Model = Mapping[str, bytes]  # the files of a SavedModel


class Job(NamedTuple):
    """A policy to export: the best seed of a cell, and its entry in the evaluation.

    `leaves` are those of its weights, `training` the fingerprint of the training that it is from.
    """

    cell: Cell
    seed: int
    leaves: Sequence[np.ndarray]
    folder: Path
    evaluated: dict[str, Any]
    training: str


class Exported(NamedTuple):
    """A policy and the model that was made of it."""

    cell: Cell
    seed: int
    weights: Weights
    model: Model


def run(_: Namespace) -> None:
    """Exports the study."""
    export_study(Checkout.here())


def export_study(checkout: Checkout) -> None:
    """Exports the best seed of every cell to `models/<cell>/`."""
    settings = checkout.settings
    summary = read_json(checkout.evaluate / "summary.json", Summary)
    jobs = [_job(checkout, cell, summary[str(cell.name)]) for cell in cells(checkout)]
    models = _models(checkout, jobs)
    shutil.rmtree(checkout.root / "models", ignore_errors=True)
    for job, exported in zip(jobs, models, strict=True):
        _write(exported.model, job.folder)
    for job, gap, episodes in zip(jobs, *_proved(checkout, models), strict=True):
        _describe(checkout, job, gap, episodes)
    with open_sink(settings.study.name, checkout.root) as sink:
        for job in jobs:
            sink.log_model(str(job.cell.name), export.signature(job.cell))
        sink.show_study()


def _job(checkout: Checkout, cell: Cell, summary: dict[str, Any]) -> Job:
    cell, best = tuned(checkout, cell), max(summary["per_seed"], key=itemgetter("mean"))
    leaves = saved(checkout, cell)[best["seed"]]
    training = Run.read(checkout.train(cell.name) / "record.json").fingerprint
    return Job(cell, best["seed"], leaves, checkout.model(cell.name), best, training)


def _models(checkout: Checkout, jobs: Sequence[Job]) -> list[Exported]:
    """What is made of some policies."""
    subjects = [job.cell for job in jobs]
    # Not where a model is saved: what is traced for it would change the model's bytes.
    with engine_for(checkout, subjects, len(jobs)) as engine:
        weights = engine.map(packed, [(job.cell, job.leaves) for job in jobs])
    # Each in a process of its own, or its bytes would depend on what was saved before it.
    with engine_for(checkout, subjects, len(jobs), fresh=True) as engine:
        models = engine.map(_saved, [*zip(subjects, weights, strict=True)])
    return [*map(Exported, subjects, [job.seed for job in jobs], weights, models)]


def _saved(cell: Cell, weights: Weights) -> Model:
    """A task: what `export.save` writes."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch, "model")
        export.save(cell, weights, folder)
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _write(model: Model, folder: Path) -> None:
    """Writes the files of a model."""
    for name, content in model.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _proved(checkout: Checkout, models: Sequence[Exported]) -> tuple[list[float], list[Episodes]]:
    """How far all models are from their policies, and episodes that they have played."""
    gaps: list[float] = []
    played: list[Episodes] = []
    number = checkout.settings.evaluation.episodes
    with Progress("export", len(models), "model") as progress:
        # Cells of an environment stand together, and so do those of an engine.
        for _, group in groupby(models, lambda each: suited(each.cell)):
            some = [*group]
            with engine_for(checkout, [each.cell for each in some], len(some) + 1) as engine:
                answered = engine.submit(_answered, some)
                items = [(each, number) for each in some]
                played += engine.map(_play, items, lambda _, done: progress.update(done))
                gaps += engine.result(answered)
    return gaps, played


def _answered(models: Sequence[Exported]) -> list[float]:
    """A task: `export.check` of what models answer where there is no code of this package."""
    rows = [export.observations(each.cell, each.weights) for each in models]
    with TemporaryDirectory() as scratch:
        folders = [Path(scratch, f"{index}") for index in range(len(models))]
        for each, folder in zip(models, folders, strict=True):
            _write(each.model, folder)
        answers = export.answers_of(folders, rows, Path(scratch))
    return [
        export.check(each.cell, each.weights, asked, answer)
        for each, asked, answer in zip(models, rows, answers, strict=True)
    ]


def _play(exported: Exported, num_episodes: int) -> Any:
    """A task: `export.play`, in which each decision is compared, and the news that it is done."""
    cell, seed, weights, model = exported
    with TemporaryDirectory() as scratch:
        _write(model, Path(scratch))
        episodes = export.play(cell, weights, Path(scratch), seed, num_episodes)
    yield 1
    return episodes


def _describe(checkout: Checkout, job: Job, gap: float, played: Episodes) -> None:
    """Writes the signature and the training's fingerprint, for machines, and the model card."""
    settings, cell, signature = checkout.settings, job.cell, export.signature(job.cell)
    write_json(job.folder / "signature.json", signature)
    write_json(job.folder / "training.json", {"fingerprint": job.training})
    bounds = "\n".join(
        f"| {index} | {a.name} | {list(a.low)} | {list(a.high)} |"
        for index, a in enumerate(cell.task.actions.actions)
    )
    tensors = "\n".join(
        f"| {side} | `{name}` | {dtype} | {shape} |"
        for side, rows in (("input", signature["inputs"]), ("output", signature["outputs"]))
        for name, dtype, shape in rows
    )
    card = CARD.read_text(encoding="utf-8").format(
        cell=cell,
        seed=job.seed,
        start=initial_parameters(cell),
        steps=settings.environments[cell.name.environment].training.steps,
        episodes=settings.evaluation.episodes,
        num_seeds=len(settings.study.seeds),
        mean=job.evaluated["mean"],
        std=job.evaluated["std"] or 0.0,
        observations=export.NUM_OBSERVATIONS,
        gap=gap,
        tie=export.VALUE_TOLERANCE,
        decisions=int(played.lengths.sum()),
        earned=float(played.returns.mean()),
        bounds=bounds,
        drives=_drives(cell.task),
        caution=_caution(cell.task),
        dtype=export.dtype_of(cell.task),
        tensors=tensors,
        values="\n".join(f"- `{path}`: {value}" for path, value in cell.flattened().items()),
    )
    (job.folder / "README.md").write_text(card, encoding="utf-8")


def _drives(task: Task) -> str:
    """A table of what each action of a user's environment drives there; nothing for ours."""
    rows = [
        f"| {index} | {action['number']} | {', '.join(f'`{box}`' for box in action['drives'])} |"
        for index, action in enumerate(task.describe()["actions"])
        if "drives" in action
    ]
    if not rows:
        return ""
    head = "| action | its number in the environment | boxes that it drives there |\n|---|---|---|"
    return "\n\n" + "\n".join([head, *rows])


def _caution(task: Task) -> str:
    """What to know of an environment that cannot be seeded; nothing for others."""
    if task.describe().get("reproducible", True):
        return ""
    return (
        f"\n\n**Not reproducible:** `{task.gymnasium_id}` cannot be seeded, so training it again "
        "gives another policy and other figures."
    )

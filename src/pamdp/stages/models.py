"""The export stage: the best seed of each cell as a SavedModel, checked, described, registered."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from pamdp import export
from pamdp.agents.policy import Weights
from pamdp.engines import workers
from pamdp.evaluation import Episodes
from pamdp.progress import Progress
from pamdp.records import read_json, write_json
from pamdp.settings import Cell, Settings
from pamdp.stages.cells import trained, tuned
from pamdp.stages.runs import initial_parameters
from pamdp.tracking import Tracker

NUM_OBSERVATIONS = 1_000


class Job(NamedTuple):
    """A policy to export."""

    cell: Cell
    seed: int
    weights: Weights
    folder: Path


def export_study(settings: Settings, root: Path) -> None:
    """Exports the best seed of every cell to `models/<cell>/`."""
    summary = read_json(root / "metrics" / "evaluate" / "summary.json")
    jobs = [_job(tuned(cell, root), summary[cell.name], root) for cell in settings.cells]
    shutil.rmtree(root / "models", ignore_errors=True)
    # Each in a process of its own, or its bytes would depend on what was saved before it.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pamdp.stages.preloaded"])
    with ProcessPoolExecutor(workers(), context, max_tasks_per_child=1) as pool:
        list(pool.map(_save, [job._replace(cell=job.cell.model_dump()) for job in jobs]))
    observations = [_observations(job) for job in jobs]
    with TemporaryDirectory() as scratch, ThreadPoolExecutor(1) as beside:
        folders = [job.folder for job in jobs]
        answers = beside.submit(export.answers_of, folders, observations, Path(scratch))
        played = _played(jobs, settings.evaluation.episodes)
    for job, rows, answer, episodes in zip(
        jobs, observations, answers.result(), played, strict=True
    ):
        gap = export.check(job.cell, job.weights, rows, answer)
        evaluated = _seed_summary(summary[job.cell.name], job.seed)
        _describe(job, evaluated, gap, episodes, settings)
    with Tracker(settings.study.name, root) as tracker:
        for job in jobs:
            tracker.log_model(job.cell.name, export.signature(job.cell))


def _played(jobs: list[Job], num_episodes: int) -> list[Episodes]:
    played = []
    with Progress("export", len(jobs), "model") as progress:
        for job in jobs:
            episodes = export.play(job.cell, job.weights, job.folder, job.seed, num_episodes)
            played.append(episodes)
            progress.update(1)
    return played


def _job(cell: Cell, summary: dict[str, Any], root: Path) -> Job:
    best = max(summary["per_seed"], key=itemgetter("mean"))["seed"]
    return Job(cell, best, trained(cell, root)[best], root / "models" / cell.name)


def _save(job: Job) -> None:
    """Runs in a process of its own."""
    # The cell comes as plain values: an environment that it holds need not travel.
    export.save(Cell.model_validate(job.cell), job.weights, job.folder)


def _observations(job: Job) -> np.ndarray:
    """[1000, S] raw observations, uniform over their bounds, or over what training met with."""
    low, high = job.cell.task.observation_low, job.cell.task.observation_high
    if observed := job.weights.observed:
        spread = 3 * np.sqrt(observed.squares / observed.count)
        low = np.where(np.isfinite(low), low, observed.mean - spread)
        high = np.where(np.isfinite(high), high, observed.mean + spread)
    draws = np.random.default_rng(0).random((NUM_OBSERVATIONS, len(low)), np.float32)
    return (low + draws * (high - low)).astype(np.float32)


def _seed_summary(summary: dict[str, Any], seed: int) -> dict[str, Any]:
    return next(entry for entry in summary["per_seed"] if entry["seed"] == seed)


def _describe(
    job: Job, evaluated: dict[str, Any], gap: float, played: Episodes, settings: Settings
) -> None:
    """Writes the signature, for machines, and the model card."""
    cell, signature = job.cell, export.signature(job.cell)
    write_json(job.folder / "signature.json", signature)
    bounds = "\n".join(
        f"| {index} | {a.name} | {list(a.low)} | {list(a.high)} |"
        for index, a in enumerate(cell.task.actions.actions)
    )
    tensors = "\n".join(
        f"| {side} | `{name}` | {dtype} | {shape} |"
        for side, rows in (("input", signature["inputs"]), ("output", signature["outputs"]))
        for name, dtype, shape in rows
    )
    values = "\n".join(f"- `{path}`: {value}" for path, value in cell.flattened().items())
    (job.folder / "README.md").write_text(
        CARD.format(
            cell=cell,
            seed=job.seed,
            start=initial_parameters(cell),
            steps=settings.environments[cell.environment].training.steps,
            episodes=settings.evaluation.episodes,
            num_seeds=len(settings.study.seeds),
            mean=evaluated["mean"],
            std=evaluated["std"] or 0.0,
            observations=NUM_OBSERVATIONS,
            gap=gap,
            tie=export.VALUE_TOLERANCE,
            decisions=int(played.lengths.sum()),
            earned=float(played.returns.mean()),
            bounds=bounds,
            tensors=tensors,
            values=values,
        )
    )


CARD = """# {cell.name}

A policy for `{cell.environment}`, trained with `{cell.algorithm}` and the gradient strategy
`{cell.strategy_name}`: seed {seed}, the best of {num_seeds}, {steps:,} environment steps,
hand-set initial parameters: {start}.

Mean greedy return {mean:.4f}, standard deviation over episodes {std:.4f} ({episodes:,} episodes).
It is the best of several seeds, so expect less of a new one; `metrics/evaluate/summary.json` has
them all.

## Use

```python
import numpy as np
import tensorflow as tf

policy = tf.saved_model.load("models/{cell.name}").signatures["serving_default"]
answer = policy(observation=np.zeros([1, {cell.task.observation_low.size}], np.float32))
print(answer["action"], answer["parameters"])
```

Observations are raw, in the environment's own units. `parameters` are those of `action`, in
environment units, clipped to their bounds and padded with zeros to the longest action;
`num_parameters` of them count.

| | name | type | shape |
|---|---|---|---|
{tensors}

| action | name | low | high |
|---|---|---|---|
{bounds}

## Checks

Loaded in a fresh process without `pamdp`, the model took the trained policy's action, or one that
the policy values as highly (to {tie:g} of the largest value), on each of {observations:,}
observations drawn uniformly over their range; the largest difference of a parameter was {gap:.2g}
of its range. So it did each of the {decisions:,} times that it acted in the environment, where it
earned a mean return of {earned:.4f}.

## Settings

{values}
"""

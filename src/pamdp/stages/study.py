"""What the stages do for the study as a whole: setup and evaluation."""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import Requirement

from pamdp import statistics
from pamdp.cells import Cell, code_of
from pamdp.checkpoint import save_arrays
from pamdp.envs.base import Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.evaluation import Episodes
from pamdp.loops import random_episodes
from pamdp.problems import EnvironmentFailure
from pamdp.progress import Progress
from pamdp.records import Run, read_json, write_json
from pamdp.settings import Benchmark, Settings, SettingsError
from pamdp.stages.cells import evaluate_cell, trained, tuned
from pamdp.stages.runs import initial_parameters
from pamdp.tracking import Tracker, collect, ensure_experiment
from pamdp.watching import film

# What numbers come out of; the others show, store and check.
RESULT_PACKAGES = ("gymnasium", "numpy", "optuna", "tensorflow")


def set_up(settings: Settings, root: Path) -> None:
    """Checks installation and environments and writes what results depend on to `metrics/setup/`.

    Raises:
      SettingsError: an installed version is not the locked one, or an environment is refused.
    """
    check_versions(root / "requirements.lock")
    _forget_old_cells(settings, root)
    folder = root / "metrics" / "setup"
    write_json(folder / "versions.json", {"packages": {n: version(n) for n in RESULT_PACKAGES}})
    environments = {n: _accepted(n, settings.environments[n]) for n in settings.study.environments}
    shutil.rmtree(folder / "environments", ignore_errors=True)
    for name, description in environments.items():
        write_json(folder / "environments" / f"{name}.json", description)
    ensure_experiment(settings.study.name, root)


def _forget_old_cells(settings: Settings, root: Path) -> None:
    """Removes the results of cells that the study no longer has; DVC's cache keeps them.

    DVC leaves them where they are, and later stages depend on these folders as a whole.
    """
    names = {cell.name for cell in settings.cells}
    for folder in (root / "metrics").glob("t*/*"):
        if folder.parent.name in ("tune", "train") and folder.name not in names:
            shutil.rmtree(folder)


def check_versions(lock: Path) -> None:
    """Compares what is installed with `requirements.lock`.

    Raises:
      SettingsError: lists every package that differs.
    """
    wrong = []
    for requirement in _pinned(lock):
        expected = str(requirement.specifier).removeprefix("==")
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            if requirement.name not in RESULT_PACKAGES:
                continue  # a developer's tool, say
            found = "none"
        if found != expected:
            wrong.append(f"  {requirement.name}: expected {expected}, found {found}")
    if wrong:
        raise SettingsError(
            "\n".join([f"the installed packages are not those of {lock.name}:", *wrong])
            + "\nrun `make study`, or `pip install --require-hashes -r requirements.lock`"
        )


def _pinned(lock: Path) -> Iterator[Requirement]:
    for line in lock.read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def _accepted(name: str, benchmark: Benchmark) -> dict[str, Any]:
    try:
        return describe(benchmark)
    except (SettingsError, EnvironmentFailure) as error:
        raise SettingsError(f"environments.{name}.task: {error}") from error


def describe(benchmark: Benchmark) -> dict[str, Any]:
    """Builds and checks an environment: its spaces, its code, and what random actions earn."""
    task = benchmark.task
    if isinstance(task, Gymnasium):
        task.check()
    limit = task.time_limit if isinstance(task, Gymnasium) else task.max_episode_steps
    random = random_episodes(task)
    return {
        "id": task.id if isinstance(task, Gymnasium) else task.gymnasium_id,
        "source": _digest(task),
        "distributions": task.distributions if isinstance(task, Gymnasium) else {},
        "max_episode_steps": limit,
        "observation": {
            "shape": [len(task.observation_low)],
            "low": _ends(task.observation_low),
            "high": _ends(task.observation_high),
        },
        "actions": [
            {"name": a.name, "low": list(a.low), "high": list(a.high)} for a in task.actions.actions
        ],
        "random_policy": {
            "episodes": len(random.returns),
            "return_mean": float(random.returns.mean()),
            "return_std": float(random.returns.std(ddof=1)),
            "length_mean": float(random.lengths.mean()),
            "length_std": float(random.lengths.std(ddof=1)),
        },
    }


def _digest(task: Environment | Gymnasium) -> str:
    """Hash of the code of an environment."""
    code = code_of(task)
    if isinstance(task, Gymnasium):
        code += task.source_files.values()
    return hashlib.sha256(b"".join(file.read_bytes() for file in code)).hexdigest()


def forget_changed(settings: Settings, root: Path) -> None:
    """Removes what setup wrote about environments of Gymnasium whose code has changed since.

    DVC does not know their files. It misses the output, and has setup describe them anew.
    """
    for name in settings.study.environments:
        path = root / "metrics" / "setup" / "environments" / f"{name}.json"
        task = settings.environments[name].task
        if not isinstance(task, Gymnasium) or not path.is_file():
            continue
        if read_json(path)["source"] != _digest(task):
            path.unlink()


def _ends(values: np.ndarray) -> list[float | None]:
    """Bounds, null where there are none, which JSON cannot write."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def evaluate_study(settings: Settings, root: Path) -> None:
    """Evaluates all seeds of all cells and writes `metrics/evaluate/`."""
    with Tracker(settings.study.name, root) as tracker:
        episodes = {}
        with Progress("evaluate", len(settings.cells), "cell") as progress:
            for cell in settings.cells:
                episodes[cell.name] = evaluate_cell(settings, cell.name, root)
                progress.update(1)
                # MLflow, which takes seconds to load, gets ready meanwhile.
                tracker.put(_training(cell, root), final=True)
        _summarise(settings, episodes, root)
        _put_all(tracker, root)


def _summarise(settings: Settings, episodes: dict[str, dict[int, Episodes]], root: Path) -> None:
    """Writes `metrics/evaluate/` from the episodes of all cells and seeds."""
    returns = {name: _stacked(seeds, "returns") for name, seeds in episodes.items()}
    summary, comparisons = {}, {}
    for cell in settings.cells:
        record, seeds = _training(cell, root), episodes[cell.name]
        measured = statistics.Evaluation(
            seeds=list(seeds),
            returns=returns[cell.name],
            lengths=_stacked(seeds, "lengths"),
            successes=_stacked(seeds, "successes"),
            curves=[child.metrics["eval/return"] for child in record.children],
            threshold=settings.environments[cell.environment].return_threshold,
            clipped_share=float(np.mean([e.clipped_share for e in seeds.values()])),
            near_bound_share=float(np.mean([e.near_bound_share for e in seeds.values()])),
            random_return=_described(cell, root)["random_policy"]["return_mean"],
            initial_parameters=initial_parameters(cell),
        )
        # A generator for each cell: its intervals do not depend on which other cells there are.
        summary[cell.name] = statistics.summarise(measured, _generator(cell.name))
        comparisons[cell.name] = statistics.compare(cell.name, returns, _generator(cell.name))
    folder = root / "metrics" / "evaluate"
    write_json(folder / "summary.json", summary)
    write_json(folder / "comparisons.json", comparisons)
    save_arrays(folder / "episodes.npz", returns)


def _training(cell: Cell, root: Path) -> Run:
    """The record of a cell's training."""
    return Run.read(root / "metrics" / "train" / cell.name / "record.json")


def _described(cell: Cell, root: Path) -> dict[str, Any]:
    """What setup found out about a cell's environment."""
    return read_json(root / "metrics" / "setup" / "environments" / f"{cell.environment}.json")


def film_best(settings: Settings, root: Path) -> None:
    """Writes `metrics/report/<environment>-best.gif`: an episode of its best cell's best seed."""
    summary = read_json(root / "metrics" / "evaluate" / "summary.json")
    for name in settings.study.environments:
        cells = [cell for cell in settings.cells if cell.environment == name]
        best = max(cells, key=lambda cell: summary[cell.name]["return"]["mean"])
        seed = max(summary[best.name]["per_seed"], key=itemgetter("mean"))["seed"]
        cell = tuned(best, root)
        path = root / "metrics" / "report" / f"{name}-best.gif"
        film(cell, trained(cell, root)[seed], seed, path)


def track(settings: Settings, root: Path) -> None:
    """Shows in MLflow what the records hold by now."""
    with Tracker(settings.study.name, root) as tracker:
        _put_all(tracker, root)


def _put_all(tracker: Tracker, root: Path) -> None:
    for run in collect(root):
        tracker.put(run, final=True)


def _stacked(seeds: dict[int, Episodes], field: str) -> np.ndarray:
    """[seeds, episodes] float32."""
    return np.stack([getattr(episodes, field) for episodes in seeds.values()]).astype(np.float32)


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))

"""Runs the Optuna study of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pamdp.checkout import Checkout
from pamdp.files import write_csv, write_json
from pamdp.learning.cell import Cell
from pamdp.learning.training import Training
from pamdp.progress import Progress
from pamdp.records import Run
from pamdp.stages.engine import engine_for
from pamdp.stages.results import cell_of, child, fingerprint, record
from pamdp.tracking import open_sink
from pamdp.tuning.importance import importance
from pamdp.tuning.settings import Tuning
from pamdp.tuning.space import shown
from pamdp.tuning.study import CellStudy
from pamdp.tuning.trials import Trial

NOTHING_FOUND: dict[str, Any] = {"values": {}, "score": None}  # the settings as they stand


def tune_cell(checkout: Checkout, name: str, folder: Path) -> None:
    """Runs a cell's study.

    Args:
      checkout: of the study.
      name: of the cell.
      folder: what is written.
    """
    settings = checkout.settings
    cell = cell_of(checkout, name)
    tuning = settings.tuning.of(cell.name)
    training = tuning.training(settings.environments[cell.name.environment].training)
    # The database outlives changes of code and versions; its studies must not.
    mark = fingerprint(checkout, "tune", cell, tuning.identity, training)
    parent = _record(cell, mark, tuning, training)
    study = CellStudy(cell, tuning, training, mark, checkout.root)
    trials: list[Trial] = []
    missing = study.missing
    with (
        open_sink(settings.study.name, checkout.root) as sink,
        Progress(f"tune {name}", study.space.num_trials, "trial") as progress,
        engine_for(checkout, [cell], min(missing, tuning.lag)) as engine,
    ):
        sink.put(parent)
        reported = tuning.pruner.reported
        for trial in study.run(engine):
            trials.append(trial)
            scores = [each.score for each in trials if each.score is not None]
            progress.update(1, trial.earlier, **({"best_score": max(scores)} if scores else {}))
            sink.put(tuning_run(parent, trials, training, reported))
        finished = tuning_run(parent, trials, training, reported)
        _write(folder, study, trials)
        finished.write(folder / "record.json")  # says that all is there
        sink.put(finished, final=True)


def _record(cell: Cell, mark: str, tuning: Tuning, training: Training) -> Run:
    """The record of a study without trials. How many it has changes as it grows, and is no part."""
    run = record(cell, "tune", mark, tuning=tuning, training=training)
    grown = {"tuning.trials", "tuning.use_trial"}
    kept = {name: value for name, value in run.parameters.items() if name not in grown}
    return run.model_copy(update={"parameters": kept})


def tuning_run(parent: Run, trials: Sequence[Trial], training: Training, reported: str) -> Run:
    """The record of a study: one child for each trial told so far.

    Args:
      parent: the record without them.
      trials: in the order of their numbers.
      training: of a trial.
      reported: what the intermediate values of a trial are.
    """
    children = []
    for trial in trials:
        score = {} if trial.score is None else {"score": [(training.steps, trial.score)]}
        curve = {reported: [*map(tuple, trial.reports)]} if trial.reports else {}
        run = child(
            parent,
            "trial",
            trial.number,
            parameters={path: shown(value) for path, value in trial.values.items()},
            metrics=score | curve,
        )
        children.append(run.model_copy(update={"tags": run.tags | {"state": trial.state}}))
    return parent.model_copy(update={"children": children})


def _write(folder: Path, study: CellStudy, trials: Sequence[Trial]) -> None:
    """Writes what was found: the values to be trained, all trials, what mattered."""
    used, paths = study.used(trials), sorted(study.space.dimensions)
    rows = [
        [t.number, t.score, t.state, *(shown(t.values[path]) for path in paths)] for t in trials
    ]
    found = {"values": used.values, "score": used.score} if used else NOTHING_FOUND
    write_json(folder / "best.json", found)
    write_csv(folder / "trials.csv", [["trial", "score", "state", *paths], *rows])
    write_json(folder / "importance.json", importance(study.parameters, trials))

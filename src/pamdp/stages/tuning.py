"""Tuning of one cell; apart from the others because Optuna is needed here only."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pamdp.cells import fingerprint
from pamdp.engines import workers
from pamdp.progress import Progress
from pamdp.records import write_csv, write_json
from pamdp.settings import Settings
from pamdp.stages.runs import tuning_run, versions
from pamdp.tracking import Tracker
from pamdp.tuning import CellStudy, Trial

NOTHING_FOUND: dict[str, Any] = {"values": {}, "score": None}  # the settings as they stand


def tune_cell(settings: Settings, name: str, root: Path) -> None:
    """Runs a cell's study and writes `metrics/tune/<cell>/`."""
    cell, tuning = settings.cell(name), settings.tuning
    # The database outlives changes of code and versions; its studies must not.
    code = Path(inspect.getfile(CellStudy)).read_text()
    training = tuning.training(settings.environments[cell.environment].training)
    mark = fingerprint(cell, tuning, training, versions(root), code)
    study = CellStudy(cell, tuning, training, mark, root)
    trials: list[Trial] = []
    progress = Progress(f"tune {name}", tuning.trials, "trial")
    study.prepare()
    with Tracker(settings.study.name, root) as tracker, progress:
        tracker.put(tuning_run(study, trials))
        for trial in study.run(workers()):
            trials.append(trial)
            tracker.put(tuning_run(study, trials))
            best = study.best(trials)
            count = progress.resumed if trial.earlier else progress.update
            count(1, **({"best_score": best.score} if best and best.score is not None else {}))
        record = tuning_run(study, trials)
        best, paths = study.best(trials), sorted(study.distributions)
        found = {"values": best.values, "score": best.score} if best else NOTHING_FOUND
        rows = [[t.number, t.score, *(t.values[path] for path in paths)] for t in trials]
        folder = root / "metrics" / "tune" / name
        write_json(folder / "best.json", found)
        write_csv(folder / "trials.csv", ["trial", "score", *paths], rows)
        record.write(folder / "record.json")
        tracker.put(record, final=True)

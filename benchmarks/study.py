"""Measurements of what a study adds around the loops; like those of `measures`."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measures import ROOT, Measure, timed


def checkout(**changes: Any) -> tuple[Any, Path]:
    """Settings of one Platform cell, and a folder that holds what its stages need."""
    from ruamel.yaml import YAML

    from pamdp.records import write_json
    from pamdp.settings import load

    yaml, root = YAML(typ="safe"), Path(tempfile.mkdtemp(prefix="pamdp-bench-"))
    atexit.register(shutil.rmtree, root)
    values = yaml.load(ROOT / "params.yaml")
    values["study"] |= {"algorithms": ["mpdqn"], "strategies": ["inverting"]}
    for block in ("study", "tuning"):
        values[block] |= changes.pop(block, {})
    values["environments"]["platform"]["training"] |= changes
    with (root / "params.yaml").open("w") as file:
        yaml.dump(values, file)
    name = "platform-mpdqn-inverting"
    write_json(root / "metrics" / "tune" / name / "best.json", {"values": {}, "score": None})
    write_json(root / "metrics" / "setup" / "versions.json", {"packages": {}})
    return load(root / "params.yaml"), root


def trained(tracking: bool, steps: int = 10_000) -> Measure:
    """The training of a cell with five seeds, as its stage does it."""
    from pamdp.stages.cells import train_cell

    os.environ["PAMDP_TRACKING"] = "on" if tracking else "off"
    _, first = checkout()
    # One database, as a study has it, and an experiment of its own each time: what an experiment
    # shows already is not logged again.
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{first}/mlflow.db"
    numbers = count(1)

    def measure() -> float:
        settings, root = checkout(steps=steps, study={"name": f"benchmark_{next(numbers)}"})
        work = partial(train_cell, settings, settings.cells[0].name, root)
        return timed(work, 1, factor=1.0)()

    measure()
    return measure


def tuned(trials: int = 8, steps: int = 40_000) -> Measure:
    """Share of a search that is not the training of its trials, in percent of a worker's time."""
    from pamdp import tuning

    settings, root = checkout(steps=steps, tuning={"trials": trials})
    cell = settings.cells[0]
    training = settings.tuning.training(settings.environments["platform"].training)
    busy, score = [0.0], tuning.CellStudy._score
    numbers = iter(range(1_000))

    def counted(study: Any, values: dict[str, float]) -> float | None:
        start = time.perf_counter()
        try:
            return score(study, values)
        finally:
            busy[0] += time.perf_counter() - start

    def measure() -> float:
        busy[0], start = 0.0, time.perf_counter()
        mark = f"benchmark-{next(numbers)}"  # a study of its own each time
        list(tuning.CellStudy(cell, settings.tuning, training, mark, root).run(1))
        return 100 * (1 - busy[0] / (time.perf_counter() - start))

    tuning.CellStudy._score = counted
    measure()
    return measure

"""Measurements of what a study adds around the loops; like those of `measures`."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
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


# What `pipeline/cells.py` does beside the cells, until its input ends.
SHOWING = """
import sys
from pathlib import Path
from pamdp.tracking import Tracker, relayed

root = Path(sys.argv[1])
with Tracker("benchmark", root) as tracker, relayed(tracker, root / "records"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def trained(tracking: str, steps: int = 10_000) -> Measure:
    """The training of a cell with five seeds, as its stage does it.

    Args:
      tracking: `on` within the stage, `beside` it in the process that started it, or `off`.
      steps: of each seed.
    """
    from pamdp.records import write_json
    from pamdp.stages.cells import train_cell
    from pamdp.tracking.relay import FOLDER

    settings, root = checkout(steps=steps, study={"name": "benchmark"})
    os.environ["PAMDP_TRACKING"] = "off" if tracking == "off" else "on"
    if tracking == "beside":
        command = [sys.executable, "-c", SHOWING, str(root)]
        showing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(showing.communicate)
        assert showing.stdout is not None
        showing.stdout.readline()
        os.environ[FOLDER] = str(root / "records")
    numbers = count(1)

    def measure() -> float:
        # Another fingerprint each time: what MLflow shows already is not logged again.
        packages = {"measurement": str(next(numbers))}
        write_json(root / "metrics" / "setup" / "versions.json", {"packages": packages})
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

"""Measurements of what a study adds around the loops; like those of `measures`."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measures import ROOT, Measure, timed

CELL = "platform-mpdqn-inverting"


def new_checkout(**changes: Any) -> Any:
    """A checkout of one Platform cell that holds what its stages need."""
    from ruamel.yaml import YAML

    from pamdp.checkout import Checkout
    from pamdp.files import write_json
    from pamdp.settings import load
    from pamdp.stages.setup import set_up

    yaml, root = YAML(typ="safe"), Path(tempfile.mkdtemp(prefix="pamdp-bench-"))
    atexit.register(shutil.rmtree, root)
    values = yaml.load(ROOT / "params.yaml")
    values["study"] |= {"algorithms": ["mpdqn"], "strategies": ["inverting"]}
    for block in ("study", "tuning"):
        values[block] |= changes.pop(block, {})
    values["environments"]["platform"]["training"] |= changes
    with (root / "params.yaml").open("w") as file:
        yaml.dump(values, file)
    made = Checkout(load(root / "params.yaml"), root)
    write_json(made.tune(CELL) / "best.json", {"values": {}, "score": None})
    set_up(made)
    return made


# What `pamdp study` does beside the cells, until its input ends.
SHOWING = """
import sys
from pathlib import Path
from pamdp.tracking import open_sink, showing

root = Path(sys.argv[1])
with open_sink("benchmark", root) as sink, showing(sink, root / "records"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def trained(tracking: str, steps: int = 10_000) -> Measure:
    """The training of a cell with five seeds, as its stage does it.

    Args:
      tracking: `on` within the stage, `beside` it in the process that started it, or `off`.
      steps: of each seed.
    """
    from pamdp.files import write_json
    from pamdp.stages.train import train_cell
    from pamdp.tracking.folder import VARIABLE

    checkout = new_checkout(steps=steps, study={"name": "benchmark", "seeds": [1, 2, 3, 4, 5]})
    os.environ["PAMDP_TRACKING"] = "off" if tracking == "off" else "on"
    if tracking == "beside":
        command = [sys.executable, "-c", SHOWING, str(checkout.root)]
        showing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(showing.communicate)
        assert showing.stdout is not None
        showing.stdout.readline()
        os.environ[VARIABLE] = str(checkout.root / "records")
    numbers = count(1)

    def measure() -> float:
        # Another fingerprint each time: what MLflow shows already is not logged again.
        packages = {"measurement": str(next(numbers))}
        write_json(checkout.setup / "versions.json", {"packages": packages})
        return timed(partial(train_cell, checkout, CELL), 1, factor=1.0)()

    measure()
    return measure


def tuned(trials: int = 8, steps: int = 40_000) -> Measure:
    """Share of a search that is not the training of its trials, in percent of a worker's time."""
    from pamdp.engines.base import Task
    from pamdp.engines.threads import Threads
    from pamdp.tuning.study import CellStudy

    class Timed(Threads):
        """One worker, and for how long it has been at work."""

        busy = 0.0

        def submit(self, task: Task, *arguments: Any, told: Any = None) -> int:
            return super().submit(self._timed, task, *arguments, told=told)

        def _timed(self, task: Task, *arguments: Any) -> Generator[Any, None, Any]:
            generator = task(*arguments)
            while True:
                start = time.perf_counter()
                try:
                    event = next(generator)
                except StopIteration as end:
                    return end.value
                finally:
                    self.busy += time.perf_counter() - start
                yield event

    checkout = new_checkout(steps=steps, tuning={"trials": trials})
    settings = checkout.settings
    training = settings.tuning.training(settings.environments["platform"].training)
    numbers = count(1)

    def measure() -> float:
        mark = f"benchmark-{next(numbers)}"  # a study of its own each time
        study = CellStudy(settings.cell(CELL), settings.tuning, training, mark, checkout.root)
        start = time.perf_counter()
        with Timed(1) as engine:
            list(study.run(engine))
        return 100 * (1 - engine.busy / (time.perf_counter() - start))

    measure()
    return measure

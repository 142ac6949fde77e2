"""Several cells at a time: DVC runs one stage after another, and a cell cannot use many cores.

Each cell that is out of date is tuned and trained by a `dvc repro` of its own, on its share of the
cores. DVC allows that; its repository's lock is held between the commands of stages only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import psutil
from tqdm import tqdm

from pamdp.cells import Cell
from pamdp.engines import workers
from pamdp.progress import Progress
from pamdp.settings import Settings
from pamdp.stages import WORK
from pamdp.tracking import Tracker, relayed

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
KINDS = ("tune", "tune_chain", "train", "train_chain")  # the stages of cells in dvc.yaml
CELL_MEMORY = 1.5e9  # bytes; five seeds on Platform take 1.2e9


def run_cells(settings: Settings, root: Path) -> None:
    """Brings all cells up to date, if there are several to do and cores for them.

    What is left to do then, which may be all, is for `dvc repro`.

    Raises:
      SystemExit: a cell failed; those under way and finished are not lost.
    """
    stale = _stale(root)
    if "setup" in stale:
        _dvc(root, "repro", "--quiet", "setup")
        stale = _stale(root)
    stages = {cell.name: _stages(settings, cell) for cell in settings.cells}
    names = [name for name, own in stages.items() if stale & {*own}]
    lanes = min(workers(), len(names), int(psutil.virtual_memory().available // CELL_MEMORY))
    if lanes < 2:
        return
    if settings.tuning.trials and not (root / "optuna.db").exists():
        from pamdp.tuning import create_database  # slow to import

        create_database(root)
    shares = [_cores()[lane::lanes] for lane in range(lanes)]
    stopped, failed = threading.Event(), []
    # Each thread takes its share; what it starts inherits it.
    pool = ThreadPoolExecutor(lanes, initializer=lambda: _keep_to(shares.pop()))
    with (
        Tracker(settings.study.name, root) as tracker,
        relayed(tracker, root / WORK / "records") as variables,
        Progress("study", len(names), "cell") as progress,
        pool,
    ):
        environment = os.environ | variables | {"PAMDP_WORKERS": str(workers() // lanes)}

        def done(name: str) -> bool:
            if stopped.is_set():
                return False
            if _run(root, stages[name], environment):
                stopped.set()
                failed.append(name)
            return name not in failed

        try:
            for job in as_completed([pool.submit(done, name) for name in names]):
                progress.update(job.result())
        finally:  # after an interruption, which what runs has got too
            stopped.set()
    order_lock(root / "dvc.lock", [*stages])
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed, see above; the next run goes on from there")


def order_lock(path: Path, cells: Sequence[str]) -> None:
    """Puts the entries of dvc.lock into the order in which one `dvc repro` writes them.

    DVC appends entries as stages finish, and several at a time finish in any order.
    """
    text = path.read_text() if path.exists() else ""
    head, *entries = re.split(r"(?m)^(?=  \S.*:$)", text)
    names = [f"{kind}@{cell}" for kind in KINDS for cell in cells]
    place = {name: index for index, name in enumerate(["setup", *names])}
    entries.sort(key=lambda entry: place.get(entry.splitlines()[0].strip(" :'\""), len(place)))
    ordered = "".join([head, *entries])
    if ordered != text:
        path.write_text(ordered)


def _stages(settings: Settings, cell: Cell) -> tuple[str, str]:
    """The stages of a cell in dvc.yaml, in order."""
    chain = "_chain" if cell.strategy_name in settings.study.chains else ""
    return f"tune{chain}@{cell.name}", f"train{chain}@{cell.name}"


def _stale(root: Path) -> set[str]:
    """The stages that are out of date by themselves; not those that wait for them."""
    return {*json.loads(_dvc(root, "status", "--json"))}


def _dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run([*DVC, *arguments], cwd=root, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # it has told why
    return done.stdout


def _run(root: Path, stages: Sequence[str], environment: dict[str, str]) -> int:
    """Runs stages; what they print appears as whole lines."""
    command = [*DVC, "repro", "--quiet", "--single-item", *stages]
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout
        for line in process.stdout:
            tqdm.write(line.rstrip(), file=sys.stderr)
    return process.returncode


def _cores() -> Sequence[int]:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else ()


def _keep_to(cores: Sequence[int]) -> None:
    """Keeps this thread, and what it starts, to some cores where the system can.

    TensorFlow would start threads for all cores in every lane, which get in each other's way.
    """
    if cores:
        os.sched_setaffinity(0, cores)

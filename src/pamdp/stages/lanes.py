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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import NamedTuple

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


class Share(NamedTuple):
    """What a cell may use: cores by their numbers, and how many tasks it runs at a time."""

    cores: Sequence[int]
    workers: int


def run_cells(settings: Settings, root: Path) -> None:
    """Brings all cells up to date, as many at a time as there are cores and memory for.

    Raises:
      SystemExit: a cell failed; those under way and finished are not lost.
    """
    stale = _stale(root)
    if "setup" in stale:
        _dvc(root, "repro", "setup")
        stale = _stale(root)
    stages = {cell.name: _stages(settings, cell) for cell in settings.cells}
    try:
        _run_lanes(settings, root, {n: own for n, own in stages.items() if stale & {*own}})
    finally:
        order_lock(root / "dvc.lock", [*stages])


def _run_lanes(settings: Settings, root: Path, stages: dict[str, tuple[str, str]]) -> None:
    if not stages:
        return
    from pamdp.tuning import create_database  # slow to import

    create_database(root)
    memory = psutil.virtual_memory().available // CELL_MEMORY
    lanes = int(max(1, min(workers(), len(_cores()), len(stages), memory)))
    failed: list[str] = []
    tqdm.write(f"study: {len(stages)} to do, {lanes} at a time", file=sys.stderr)
    with (
        Tracker(settings.study.name, root) as tracker,
        relayed(tracker, root / WORK / "records") as variables,
        Progress("study", len(stages), "cell") as progress,
    ):

        def done(name: str, share: Share) -> bool:
            _keep_to(share.cores)
            own = variables | {"PAMDP_WORKERS": str(share.workers)}
            return _run(root, stages[name], os.environ | own) == 0

        # The cells left after full rounds have the cores for themselves.
        names = [*stages]
        full = len(names) - len(names) % lanes
        for batch in (names[:full], names[full:]):
            if batch and not failed:
                for name, well in side_by_side(batch, lanes, done):
                    progress.update(well)
                    failed += [] if well else [name]
    if failed:
        told = ", ".join(f"`make study ARGS={stages[name][1]}`" for name in failed)
        sys.exit(
            f"error: {', '.join(failed)} failed; its own words stand above, and {told} tells more. "
            "If it was killed, memory may be too small for several cells: PAMDP_WORKERS=1 runs one "
            "at a time. The next run goes on from the last checkpoint"
        )


def side_by_side(
    names: Sequence[str], lanes: int, work: Callable[[str, Share], bool]
) -> Iterator[tuple[str, bool]]:
    """Does a work for each name, `lanes` at a time; none begins after one that did not go well.

    Args:
      names: of the works.
      lanes: at most so many at a time.
      work: does one with a share of the cores, in a thread; whether it went well.

    Yields:
      (name, whether it went well) of each that began, as it ends.
    """
    lanes, stopped = min(lanes, len(names)), Event()
    free: SimpleQueue[Share] = SimpleQueue()
    for lane in range(lanes):
        num_workers = workers() // lanes + (lane < workers() % lanes)
        free.put(Share(_cores()[lane::lanes], num_workers))

    def job(name: str) -> bool | None:
        share, well = free.get(), None
        try:
            if not stopped.is_set():
                well = False
                well = work(name, share)
        finally:
            if well is False:
                stopped.set()
            free.put(share)
        return well

    with ThreadPoolExecutor(lanes) as pool:
        jobs = {pool.submit(job, name): name for name in names}
        try:
            for ended in as_completed(jobs):
                if (well := ended.result()) is not None:
                    yield jobs[ended], well
        finally:  # an interruption, which what is under way has got too
            stopped.set()


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
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        scratch.write_text(ordered)
        scratch.replace(path)


def _stages(settings: Settings, cell: Cell) -> tuple[str, str]:
    """The stages of a cell in dvc.yaml, in order."""
    chain = "_chain" if cell.strategy_name in settings.study.chains else ""
    return f"tune{chain}@{cell.name}", f"train{chain}@{cell.name}"


def _stale(root: Path) -> set[str]:
    """The stages that are out of date by themselves; not those that wait for them."""
    return {*json.loads(_dvc(root, "status", "--json", stdout=subprocess.PIPE))}


def _dvc(root: Path, *arguments: str, stdout: int | None = None) -> str:
    done = subprocess.run([*DVC, *arguments], cwd=root, stdout=stdout, text=True)
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
        for line in process.stdout or ():
            tqdm.write(line.rstrip(), file=sys.stderr)
    return process.returncode


def _cores() -> Sequence[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux has it
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def _keep_to(cores: Sequence[int]) -> None:
    """Keeps this thread, and what it starts, to some cores where the system can.

    TensorFlow would start threads for all cores in every lane, which get in each other's way.
    """
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, cores)

"""Runs the study, or what of it is out of date, several cells at a time.

DVC runs one stage after another, and a cell cannot use many cores. So each cell that is out of date
is tuned and trained by a `dvc repro` of its own, on its share of the cores. DVC allows that; its
repository's lock is held between the commands of stages only. The rest is a plain `dvc repro`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from types import MappingProxyType

from tqdm import tqdm

from pamdp import lifetime
from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.engines import engine_of, workers
from pamdp.estimate import Estimate
from pamdp.files import read_json
from pamdp.foresight import STUDY
from pamdp.stages import lockfile
from pamdp.stages.overview import Overview
from pamdp.stages.setup import SAID
from pamdp.stages.sharing import Share, rounds_of
from pamdp.tracking import open_sink, showing

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
STAGES = ("tune", "train")  # of a cell, in dvc.yaml


def run(options: Namespace) -> None:
    """Runs the study of the command line."""
    checkout = Checkout.here()  # refuses wrong settings before DVC removes anything
    if not any((folder / ".git").exists() for folder in (checkout.root, *checkout.root.parents)):
        raise PamdpError(
            f"expected a git repository, which DVC works in, received {checkout.root} in none; run "
            "`git init`"
        )
    said: dict[str, str] = {}
    with lockfile.guarded(checkout, lambda line: print(line, file=sys.stderr)):
        if not options.stages and not options.force:
            run_cells(checkout)
            said = {SAID: "1"}
        force = ["--force"] if options.force else []
        _dvc(checkout.root, "repro", *force, *options.stages, variables=said)
    if not options.stages:
        print(f"The report: {checkout.report.relative_to(checkout.root)}/index.html")


def run_cells(checkout: Checkout) -> None:
    """Brings all cells up to date, as many at a time as there are cores and memory for.

    Raises:
      PamdpError: a cell failed; those under way and finished are not lost.
    """
    _dvc(checkout.root, "repro", "--quiet", "setup")
    stale = {*json.loads(_dvc(checkout.root, "status", "--json", stdout=subprocess.PIPE))}
    names = [str(cell.name) for cell in checkout.settings.cells]
    work = {name: [stage for stage in STAGES if f"{stage}@{name}" in stale] for name in names}
    try:
        _run_lanes(checkout, {name: stages for name, stages in work.items() if stages})
    finally:
        stages = [f"{stage}@{name}" for stage in STAGES for name in names]
        lockfile.order(checkout.lock, ["setup", *stages])


def stages_of(cell: str) -> list[str]:
    """The stages of a cell in dvc.yaml, in order."""
    return [f"{stage}@{cell}" for stage in STAGES]


def _run_lanes(checkout: Checkout, work: Mapping[str, Sequence[str]]) -> None:
    if not work:
        return
    from pamdp.tuning.database import create_database  # slow to import

    root, names = checkout.root, [*work]
    create_database(root)
    os.environ.update(engine_of().join())
    estimates = _estimates(checkout, names)
    seconds = {name: _seconds(estimates[name], stages) for name, stages in work.items()}
    rounds = rounds_of(estimates, min(_tasks(checkout, name, work[name]) for name in names))
    failed: list[str] = []
    print(f"study: {len(names)} cells to do, {len(rounds[0].shares)} at a time", file=sys.stderr)
    with (
        open_sink(checkout.settings.study.name, root) as sink,
        showing(sink, checkout.work / "records") as variables,
        Overview(seconds, workers(), STUDY) as overview,
    ):

        def done(name: str, share: Share) -> bool:
            _keep_to(share.cores)
            own = variables | {"PAMDP_WORKERS": str(share.workers)}
            overview.begin(name)
            well = _run(root, stages_of(name), _environment() | own, overview.hear) == 0
            overview.end(name, well)
            return well

        for each in rounds:
            if failed:
                break
            for name, well in side_by_side(each.names, each.shares, done):
                if well:
                    lockfile.keep(checkout)
                else:
                    failed.append(name)
    if failed:
        told = ", ".join(f"`pamdp study {stages_of(name)[-1]}`" for name in failed)
        raise PamdpError(
            f"{', '.join(failed)} failed; its own words stand above, and {told} tells more. "
            "If it was killed, memory may be too small for several cells: PAMDP_WORKERS=1 runs one "
            "at a time. The next run goes on from what is done"
        )


def _tasks(checkout: Checkout, name: str, stages: Sequence[str]) -> int:
    """How many tasks of a cell there are at a time: seeds, or trials while it is searched."""
    seeds, tuning = len(checkout.settings.study.seeds), checkout.settings.tuning.of(name)
    return min(seeds, tuning.lag) if tuning.trials and STAGES[0] in stages else seeds


def _estimates(checkout: Checkout, names: Sequence[str]) -> dict[str, Estimate]:
    """What each of some cells takes."""
    estimates = {}
    for cell in map(checkout.settings.cell, names):
        facts = read_json(checkout.setup / "environments" / f"{cell.name.environment}.json")
        estimates[str(cell.name)] = Estimate(checkout.settings, cell, facts)
    return estimates


def _seconds(estimate: Estimate, stages: Sequence[str]) -> dict[str, float]:
    """What some stages of a cell take of one core."""
    tuning = estimate.tuning_share
    shares: dict[str, float] = dict(zip(STAGES, (tuning, 1 - tuning), strict=True))
    return {stage: shares[stage] * estimate.seconds for stage in stages}


def side_by_side(
    names: Sequence[str], shares: Sequence[Share], work: Callable[[str, Share], bool]
) -> Iterator[tuple[str, bool]]:
    """Does a work for each name, one with each share; none begins after one that did not go well.

    Args:
      names: of the works.
      shares: what those may use that are done at a time.
      work: does one with a share of the cores, in a thread; whether it went well.

    Yields:
      (name, whether it went well) of each that began, as it ends.
    """
    stopped = Event()
    free: SimpleQueue[Share] = SimpleQueue()
    for share in shares:
        free.put(share)

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

    with ThreadPoolExecutor(len(shares)) as pool:
        jobs = {pool.submit(job, name): name for name in names}
        try:
            for ended in as_completed(jobs):
                if (well := ended.result()) is not None:
                    yield jobs[ended], well
        except KeyboardInterrupt:
            lifetime.end_children()  # the signal may have come to this process alone
            raise
        finally:
            stopped.set()


def _environment() -> dict[str, str]:
    """That of this process; the `python` of dvc.yaml's commands is the one that runs this."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path, lifetime.STUDY: "1"}


def _dvc(
    root: Path,
    *arguments: str,
    stdout: int | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    command, environment = [*DVC, *arguments], _environment() | dict(variables)
    with subprocess.Popen(command, cwd=root, env=environment, stdout=stdout, text=True) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:  # which may have come to this process alone
            lifetime.end_children()
            raise
    if process.returncode:
        tried = " ".join(["dvc", *(each for each in arguments if each != "--quiet")])
        raise PamdpError(f"`{tried}` failed, with exit code {process.returncode}")
    return said


def _run(
    root: Path,
    stages: Sequence[str],
    environment: dict[str, str],
    hear: Callable[[str], object],
) -> int:
    """Runs stages; what they print appears as whole lines, which are told."""
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
            hear(line)
    return process.returncode


def _keep_to(cores: Sequence[int]) -> None:
    """Keeps this thread, and what it starts, to some cores where the system can.

    TensorFlow would start threads for all cores in every lane, which get in each other's way.
    """
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, cores)

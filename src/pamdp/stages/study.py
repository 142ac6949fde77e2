"""Runs the study, or what of it is out of date, several cells at a time.

DVC runs one stage after another, and a cell cannot use many cores. So each cell that is out of date
is tuned and trained first, on its share of the cores, and what it gives is left beside
(`stages/ahead.py`). Then one `dvc repro` runs all stages in order; theirs take it from there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from tqdm import tqdm

from pamdp import lifetime
from pamdp.base.errors import PamdpError, SettingsError, nearest
from pamdp.checkout import Checkout
from pamdp.engines import engine_of, workers
from pamdp.estimate import Estimate
from pamdp.files import read_json, write_json
from pamdp.foresight import STUDY
from pamdp.reading import read
from pamdp.stages import ahead, lane, lockfile
from pamdp.stages.overview import Overview
from pamdp.stages.setup import SAID
from pamdp.stages.sharing import Share, rounds_of, side_by_side
from pamdp.tracking import open_sink, showing

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
RECORDER = (sys.executable, "-m", lifetime.RECORDER)  # `dvc repro`, for many stages
STAGES = ("tune", "train")  # of a cell, in dvc.yaml
KILLED = (
    "It was killed: memory may be too small for several cells, and PAMDP_WORKERS=1 runs one at a "
    "time. "
)


def run(options: Namespace) -> None:
    """Runs the study of the command line."""
    checkout = Checkout.here()  # refuses wrong settings before DVC removes anything
    if not any((folder / ".git").exists() for folder in (checkout.root, *checkout.root.parents)):
        raise PamdpError(
            f"expected a git repository, which DVC works in, received {checkout.root} in none; run "
            "`git init`"
        )
    _check_stages(checkout, options.stages)
    with (
        lockfile.guarded(checkout, lambda line: print(line, file=sys.stderr)),
        _forced(checkout, options) as force,
    ):
        if options.stages:
            _dvc(checkout.root, "repro", *force, *options.stages)
        else:
            run_cells(checkout, options.force)
            _check_unedited(checkout)
            _run(checkout.root, [*RECORDER, *force], "dvc repro", variables={SAID: "1"})
    if not options.stages:
        print(f"The report: {checkout.report.relative_to(checkout.root)}/index.html")


def _check_stages(checkout: Checkout, stages: Sequence[str]) -> None:
    """Refuses names that are no stages, for which DVC has no better word.

    Raises:
      PamdpError: there is one, which names no file of DVC's either.
    """
    try:
        pipeline = read(checkout.root / "dvc.yaml")
    except SettingsError:
        return  # DVC says what is wrong with it
    names = pipeline.get("stages") if isinstance(pipeline, dict) else None
    if not isinstance(names, dict):
        return
    own = [f"{stage}@{cell.name}" for stage in STAGES for cell in checkout.settings.cells]
    known = [*names, *own]
    for stage in stages:
        group = stage.partition("@")[0]  # another matrix than that of the cells is the user's
        there = stage in known or (group in names and group not in STAGES)
        if not there and ":" not in stage and not (checkout.root / stage).exists():
            raise PamdpError(
                f"expected a stage of dvc.yaml, such as {own[-1]}, received {stage!r}"
                f"{nearest(stage, known)}"
            )


@contextmanager
def _forced(checkout: Checkout, options: Namespace) -> Iterator[Sequence[str]]:
    """Around a run; DVC's option for it, if it takes nothing that is there.

    Such a run goes on if it was interrupted, and the next one is forced likewise.
    """
    under_way = checkout.work / "forced.json"
    if not options.force:
        under_way.unlink(missing_ok=True)  # what this one computes is nothing that was forced
        yield []
        return
    if under_way.is_file() and read_json(under_way, list) == options.stages:
        print("study: the forced run goes on that was interrupted", file=sys.stderr)
    else:
        ahead.forget(checkout, options.stages)
        write_json(under_way, options.stages)
    yield ["--force"]
    under_way.unlink()


def run_cells(checkout: Checkout, force: bool = False) -> None:
    """Computes all cells that are out of date, as many at a time as there are cores and memory for.

    Args:
      checkout: of the study.
      force: whether to compute the others, too.

    Raises:
      PamdpError: a cell failed; those under way and finished are not lost.
    """
    _dvc(checkout.root, "repro", "--quiet", "setup")
    stale = {*json.loads(_dvc(checkout.root, "status", "--json", stdout=subprocess.PIPE))}
    names = [str(cell.name) for cell in checkout.settings.cells]
    work = {
        name: [stage for stage in STAGES if force or f"{stage}@{name}" in stale] for name in names
    }
    if work := {name: stages for name, stages in work.items() if stages}:
        _run_lanes(checkout, work)


def _check_unedited(checkout: Checkout) -> None:
    """Refuses settings that were edited: DVC would compute one cell after another.

    Raises:
      PamdpError: they were.
    """
    if Checkout.here().settings != checkout.settings:
        raise PamdpError(
            "params.yaml: expected the settings that the study began with, received others, edited "
            "while it ran; what it has computed is kept: run `pamdp study` again"
        )


def _run_lanes(checkout: Checkout, work: Mapping[str, Sequence[str]]) -> None:
    root, names = checkout.root, [*work]
    own = lifetime.IN_STUDY | _prepare(root)
    marks, estimates = ahead.all_marks(checkout, names), _estimates(checkout, names)
    seconds = {name: _seconds(estimates[name], stages) for name, stages in work.items()}
    rounds = rounds_of(estimates, min(_tasks(checkout, name, work[name]) for name in names))
    ended: dict[str, bool | None] = {}  # whether it went well, of cells that have begun
    print(f"study: {len(names)} cells to do, {len(rounds[0].shares)} at a time", file=sys.stderr)
    with (
        open_sink(checkout.settings.study.name, root) as sink,
        showing(sink, checkout.work / "records") as variables,
        Overview(seconds, workers(), STUDY) as overview,
    ):

        def told(name: str, well: bool | None) -> None:
            ended[name] = well
            if well is None:
                overview.begin(name)
            else:
                overview.end(name, well)

        def hear(line: str) -> None:
            tqdm.write(line, file=sys.stderr)
            overview.hear(line)

        def run(names: Sequence[str], shares: Sequence[Share]) -> bool:
            given = own | variables | {"PAMDP_WORKERS": str(shares[0].workers)}
            stages = {name: work[name] for name in names}
            return lane.run(lane.Cells(stages, shares, given, marks), told, hear)

        def alone(name: str, share: Share) -> bool:
            return run([name], [share])

        for each in rounds:
            if not all(ended.values()):
                break
            if engine_of().elsewhere:
                run(each.names, each.shares)
            else:
                deque(side_by_side(each.names, each.shares, alone), maxlen=0)
    failed = [name for name in names if not ended.get(name, not all(ended.values()))]
    if failed:
        raise _failure(failed, killed=None in ended.values())


def _prepare(root: Path) -> dict[str, str]:
    """Makes ready what all cells need; variables by which their processes find the engine."""
    lane.prepare()
    from pamdp.tuning.database import create_database  # slow to import

    create_database(root)
    joined = engine_of().join()
    os.environ.update(joined)  # for the stages that DVC runs later
    return joined


def _failure(names: Sequence[str], killed: bool) -> PamdpError:
    more = ", ".join(f"`pamdp study {STAGES[-1]}@{name}`" for name in names)
    return PamdpError(
        f"{', '.join(names)} failed; its own words stand above, and {more} tells more. "
        + killed * KILLED
        + "The next run goes on from what is done"
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


def _environment() -> dict[str, str]:
    """That of this process; the `python` of dvc.yaml's commands is the one that runs this."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    return os.environ | lifetime.IN_STUDY | {"PATH": path}


def _dvc(root: Path, *arguments: str, stdout: int | None = None) -> str:
    tried = " ".join(["dvc", *(each for each in arguments if each != "--quiet")])
    return _run(root, [*DVC, *arguments], tried, stdout)


def _run(
    root: Path,
    command: Sequence[str],
    tried: str,
    stdout: int | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Runs a command, which is called `tried` in messages; what it prints, if it is asked for."""
    environment = _environment() | dict(variables)
    with subprocess.Popen(command, cwd=root, env=environment, stdout=stdout, text=True) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:  # which may have come to this process alone
            lifetime.end_children()
            raise
    if process.returncode:
        raise PamdpError(f"`{tried}` failed, with exit code {process.returncode}")
    return said

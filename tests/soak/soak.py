"""Kills a study again and again, in all its stages, and compares what it gives in the end.

    python -m tests.soak.soak --kills 50 --minutes 60 --seed 1

An undisturbed study is the reference. Then the same study runs in another checkout: while a stage
is under way a signal is sent to one of its processes, or to all of them, and the same command runs
again. When a study has ended it is compared and begun anew, until there were enough kills. Nothing
may be left running 15 s after a signal, and every file, trial and run has to be as in the
reference.

This takes about half an hour and is no part of the test suite.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.pipeline import checkout, small

# With the longest wait before a stage that has begun is hit, in seconds.
SECONDS = {"setup": 1.0, "tune": 6.0, "train": 2.0, "evaluate": 2.0, "export": 6.0, "report": 4.0}
# Programs by the names of their commands; where a stage has no such parent, its own parent is hit.
PROGRAMS = {
    "parent": (),
    "dvc": ("dvc", "pamdp.stages.recording"),
    "study": ("pamdp",),
    "shell": ("sh",),
    "make": ("make",),
}
TARGETS = ("group", "stage", *PROGRAMS)
SIGNALS = ("KILL", "TERM", "HUP", "INT")
# Longer runs than the tests', with a checkpoint every 0.3 s, so that many kills meet one.
CHANGES = small.CHANGES | {
    "environments.platform.training": {
        "steps": 12_000,
        "report_every": 500,
        "evaluation_episodes": 50,
    },
    "tuning.trials": 3,
}
EVERY = ("CHECKPOINT_SECONDS = 2.5", "CHECKPOINT_SECONDS = 0.3")
OUTPUTS = ("metrics", "models")
WORKERS = {"PAMDP_WORKERS": "2"}
LEFT = 15.0  # seconds after which nothing may run any more
# As the project's own does it, with a shell that waits for the command.
MAKEFILE = "study:\n\t@pamdp study; exit $$?\n"


class Kill(NamedTuple):
    """A signal, to what it was sent in which stage, and how long everything took to end."""

    stage: str
    target: str
    signal: str
    seconds_to_end: float


class Result(NamedTuple):
    """What a finished study left."""

    files: dict[str, bytes]
    trials: Counter[str]
    runs: Counter[tuple[str, str]]


def made(folder: Path) -> Path:
    """A checkout of the study."""
    checkout.make(folder, CHANGES)
    training = folder / "src" / "pamdp" / "learning" / "training.py"
    text = training.read_text()
    if EVERY[0] not in text:
        raise SystemExit(f"expected {EVERY[0]!r} in {training}")
    training.write_text(text.replace(*EVERY))
    (folder / "Makefile").write_text(MAKEFILE)
    checkout.commit(folder)
    return folder


def begun(folder: Path, **variables: str) -> subprocess.Popen:
    """The study, begun or going on, in a session of its own."""
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            ["make", "study"],
            cwd=folder,
            env=checkout.environment(folder, PAMDP_WORKERS="2", **variables)
            | small.compiled(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def processes(session: int) -> Iterator[psutil.Process]:
    """The living processes of a session."""
    for number in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            process = psutil.Process(number)
            if os.getsid(number) == session and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def stage_process(folder: Path, session: int, stage: str) -> psutil.Process | None:
    """A process of a session that does a stage, if one is under way: it holds a lock."""
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    owners = {each[5].rpartition(":")[2]: int(each[4]) for each in locks if each[1] == "FLOCK"}
    for path in sorted((folder / ".work" / "locks").glob(f"{stage}*.lock")):
        number = owners.get(str(path.stat().st_ino))
        with suppress(ProcessLookupError, psutil.Error):
            if number and os.getsid(number) == session:
                return psutil.Process(number)
    return None


def target_of(stage: psutil.Process, top: subprocess.Popen, target: str) -> int:
    """The process to be hit."""
    if target == "stage":
        return stage.pid
    parents = [p for p in stage.parents() if p.pid in {each.pid for each in processes(top.pid)}]
    named = (p for p in reversed(parents) if {*PROGRAMS[target]} & {*names(p)})
    return next(named, (parents or [psutil.Process(top.pid)])[0]).pid


def names(process: psutil.Process) -> Iterator[str]:
    """What stands in the command of a process, without folders."""
    return map(os.path.basename, words(process)[:3])


def hit(folder: Path, study: subprocess.Popen, stage: str, target: str, name: str) -> Kill | None:
    """Sends a signal while a stage is under way; None if it was not to be met."""
    process = stage_process(folder, study.pid, stage)
    if process is None:
        return None
    number = getattr(signal, f"SIG{name}")
    with suppress(ProcessLookupError, psutil.Error):
        if target == "group":
            os.killpg(study.pid, number)
        else:
            os.kill(target_of(process, study, target), number)
        since = time.monotonic()
        while any(processes(study.pid)):
            study.poll()
            if time.monotonic() - since > LEFT:
                left = [" ".join(words(p)) for p in processes(study.pid)]
                if target in ("stage", "parent", "dvc") or (target, name) == ("shell", "INT"):
                    # The other cells go on after one cell's signal. DVC and a shell that get
                    # SIGINT alone wait for what they run: a terminal sends it to that, too.
                    break
                raise SystemExit(f"{stage}, {target}, {name}: still running: {left}")
            time.sleep(0.05)
        ended = time.monotonic() - since
        if any(processes(study.pid)):
            study.wait()
        return Kill(stage, target, name, ended)
    return None


def attacked(folder: Path, plan: list[tuple[str, str, str]], rng: random.Random) -> list[Kill]:
    """Runs a study to its end, hit on its way as a plan says, as far as its stages are met."""
    kills: list[Kill] = []
    study = begun(folder)
    while study.poll() is None or study.returncode:
        if study.poll() is not None:
            study = begun(folder)
        met = [each for each in plan if stage_process(folder, study.pid, each[0])]
        if not met:
            time.sleep(0.05)
            continue
        time.sleep(rng.uniform(0.0, SECONDS[met[0][0]]))
        plan.remove(met[0])
        if kill := hit(folder, study, *met[0]):
            print(f"  {kill}", flush=True)
            kills.append(kill)
    return kills


def reference(scratch: Path) -> tuple[float, Result]:
    """Seconds of an undisturbed study whose programs are compiled, and what it left."""
    folder = made(scratch / "reference")
    begun(folder).wait()  # compiles
    clear(folder)
    started = time.monotonic()
    if begun(folder).wait():
        raise SystemExit((scratch / "reference.log").read_text())
    undisturbed = time.monotonic() - started
    expected = result(folder)
    print(f"undisturbed: {undisturbed:.0f} s, {len(expected.files)} files", flush=True)
    return undisturbed, expected


def result(folder: Path) -> Result:
    """What a finished study left, runs shown again by `pamdp track`."""
    checkout.succeed(folder, "pamdp", "track")
    return Result(files(folder), trials(folder), runs(folder / "mlflow.db"))


def files(folder: Path) -> dict[str, bytes]:
    """All outputs, and dvc.lock."""
    lock = {"dvc.lock": (folder / "dvc.lock").read_bytes()}
    return checkout.contents(folder, *OUTPUTS) | lock


def trials(folder: Path) -> Counter[str]:
    """The number of trials by study."""
    with closing(sqlite3.connect(folder / "optuna.db")) as database:
        rows = database.execute(
            "select study_name from trials natural join studies where trial_id not in "
            "(select trial_id from trial_user_attributes where key = 'interrupted')"
        ).fetchall()
    return Counter(name for (name,) in rows)


def runs(path: Path) -> Counter[tuple[str, str]]:
    """The keys and states of the runs in a database of MLflow."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(
            "select tags.value, runs.status from runs join tags using (run_uuid) "
            "where tags.key = 'pamdp.key'"
        ).fetchall()
    return Counter(rows)


def compare(expected: Result, found: Result) -> None:
    """Ends the soak if anything differs."""
    names = expected.files.keys() | found.files.keys()
    wrong = [n for n in sorted(names) if expected.files.get(n) != found.files.get(n)]
    if wrong or expected[1:] != found[1:]:
        raise SystemExit(
            f"other files: {wrong}\ntrials {found.trials} for {expected.trials}\n"
            f"runs {found.runs - expected.runs} too many, {expected.runs - found.runs} too few"
        )


def clear(folder: Path) -> None:
    """The checkout as it was before its first study."""
    checkout.git(folder, "clean", "-ffdxq")
    checkout.git(folder, "checkout", "--quiet", ".")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # Started by nohup or in the background it has these ignored, and so would the study.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    rng, since = random.Random(options.seed), time.monotonic()
    kinds = [(t, s) for t in TARGETS for s in SIGNALS]
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed, expected = reference(Path(scratch))
        folder = made(Path(scratch, "attacked"))
        kills: list[Kill] = []
        lost: list[float] = []
        while len(kills) < options.kills and time.monotonic() - since < 60 * options.minutes:
            plan = [(stage, *rng.choice(kinds)) for stage in SECONDS for _ in range(3)]
            rng.shuffle(plan)  # while one cell is searched another is trained
            started = time.monotonic()
            new = attacked(folder, plan, rng)
            lost.append((time.monotonic() - started - undisturbed) / max(1, len(new)))
            compare(expected, result(folder))
            clear(folder)
            kills += new
            print(f"{len(kills)} kills; {lost[-1]:.1f} s lost by each; all is the same", flush=True)
    counts = {field: Counter(getattr(k, field) for k in kills) for field in Kill._fields[:3]}
    print(json.dumps(counts, indent=1))
    slowest = max(kill.seconds_to_end for kill in kills)
    print(f"lost by a kill: median {statistics.median(lost):.1f} s; slowest end {slowest:.1f} s")


if __name__ == "__main__":
    sys.exit(main())

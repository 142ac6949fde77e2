"""The life of a process: when it ends, and that no other one is at the same work meanwhile."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import IO

import psutil

from pamdp.base.errors import Interrupted, PamdpError

PATIENCE = 10.0  # seconds for a process to end by itself
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ADVICE = "interrupted; the same command goes on from what is done, or the last checkpoint"
STUDY = "PAMDP_STUDY"  # in the environment of what a study runs: its one line is enough
IN_STUDY = {STUDY: "1"}
# Programs that run this one for what they do themselves, by the names of their commands.
RECORDER = "pamdp.stages.recording"  # which is DVC
STARTERS = frozenset({"dvc", "gmake", "make", "pamdp", RECORDER})
SHELLS = 2  # at most so many processes, such as `sh -c`, stand between a starter and what it starts


def obey_signals() -> None:
    """Has `SIGNALS` raise `Interrupted` in the main thread, and end the process soon after.

    What is under way has some seconds to end as it should. Results do not depend on that: whatever
    is written is written whole or not at all. A signal that is ignored, as with nohup, stays so.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _: object) -> None:
    for each in SIGNALS:  # one is enough: others would interrupt what ends
        signal.signal(each, lambda *_: None)
    threading.Thread(target=_leave, args=(number,), daemon=True).start()
    raise Interrupted(number)


def _leave(number: int) -> None:
    """Ends the process after its time."""
    time.sleep(PATIENCE)
    os.write(sys.stderr.fileno(), f"{ADVICE}\n".encode())
    os._exit(128 + number)


def end_with_starters() -> None:
    """Ends this process, as SIGTERM does, once a program that runs it for its own work has ended.

    Such a program may be killed alone, and what it has started would go on unseen; make, if it is
    hung up or interrupted alone, waits for what it has started. A terminal, or a shell in which
    somebody types, is no such program: the work goes on without it, and so it does in a session of
    its own.
    """
    here = os.getsid(0)
    parents = takewhile(lambda parent: _session(parent) == here, psutil.Process().parents())
    if watched := _starters([*parents]):
        caught = [_caught(process) for process in watched]

        def wait() -> None:
            while all(map(_alive, watched)) and caught == [*map(_caught, watched)]:
                time.sleep(1.0)
            os.write(2, b"ended: what has started it is gone, or was told to end\n")

        _end_after(wait)


def end_with_parent() -> None:
    """Ends this worker process once the process that has made it has ended."""
    if parent := multiprocessing.parent_process():
        _end_after(parent.join)


def end_children() -> None:
    """Asks all processes that this one has started, directly or not, to end."""
    end_all(children_of(os.getpid()))


def end_all(processes: Iterable[psutil.Process]) -> None:
    """Asks processes to end."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()


def children_of(number: int | None) -> list[psutil.Process]:
    """All processes that one has started, directly or not; none if it is gone."""
    try:
        return psutil.Process(number).children(recursive=True)
    except psutil.Error:
        return []


def _end_after(wait: Callable[[], object]) -> None:
    def work() -> None:
        wait()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(128 + signal.SIGTERM)  # the main thread may be in native code, for long

    threading.Thread(target=work, name="lifetime", daemon=True).start()


def _starters(parents: list[psutil.Process]) -> list[psutil.Process]:
    """Of the parents, the nearest first, those that are starters, and what stands between."""
    found, between = [], []
    for parent in parents:
        between.append(parent)
        if _names(parent) & STARTERS:
            found += between
            between = []
        elif len(between) >= SHELLS:
            break
    return found


def _names(process: psutil.Process) -> set[str]:
    """The name of a program, or of the script or module that an interpreter runs."""
    try:
        program, *rest = [os.path.basename(word) for word in process.cmdline()]
    except (psutil.Error, ValueError):
        return set()
    if not program.startswith("python"):
        return {program}
    if "-m" in rest:
        return {*rest[rest.index("-m") + 1 :][:1]}
    return {*rest[:1]}


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _caught(process: psutil.Process) -> str:
    """The signals that make catches, where Linux tells; no longer one that told it to end."""
    if not _names(process) & {"gmake", "make"}:
        return ""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except OSError:
        return ""
    return next((line for line in status.splitlines() if line.startswith("SigCgt:")), "")


@contextmanager
def sole(path: Path, work: str, patience: float = 0.0) -> Iterator[None]:
    """Does a work that no other process does at the same time, on this machine.

    Args:
      path: of a file that is locked; the system unlocks it when the process ends, however.
      work: what it is, for messages.
      patience: seconds to wait for another process to end.

    Raises:
      PamdpError: another process is at it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        since = time.monotonic()
        while not _locked(file):
            file.seek(0)
            if time.monotonic() - since >= patience:
                number = file.read().strip()
                raise PamdpError(
                    f"{work}: expected to be the only process at it in this checkout, but process "
                    f"{number} is, too; wait until it ends, or end it: `kill {number}`"
                )
            time.sleep(0.2)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

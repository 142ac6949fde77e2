"""Processes: an environment in Python holds the interpreter's lock, and would share a core."""

from __future__ import annotations

import hashlib
import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pamdp.base.errors import Interrupted, PamdpError
from pamdp.engines.base import NOTHING, Engine, Needs, News, Task, named, own_files, portable, steps
from pamdp.lifetime import children_of, end_all, end_with_parent
from pamdp.provenance import code

PATIENCE = 3.0  # seconds for a worker to end by itself
PRELOADED = ["pamdp.engines.preloaded", "pamdp.learning.loops"]

TERMINATED = 128 + signal.SIGTERM  # the exit code of a worker that was told to end
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}

Work = tuple[int, Task, tuple]


class Processes(Engine):
    """Runs tasks in processes that are forked from one which has TensorFlow loaded.

    Each process keeps to one core where the system can, as TensorFlow starts threads for all it
    sees. Tasks, arguments, events and results are pickled on their way.
    """

    def __init__(self, num_workers: int, needs: Needs = NOTHING) -> None:
        """Starts nothing yet."""
        super().__init__(num_workers, needs)
        self._code = needs.own, _digests(own_files(needs.own).values())
        self._waiting: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards what follows
        self._stopped = False
        self._running: list[BaseProcess] = []
        self._threads: list[threading.Thread] = []

    def _start(self, number: int, task: Task, arguments: tuple) -> None:
        self._waiting.put((number, task, arguments))
        if len(self._threads) < self.num_workers:
            index = len(self._threads)
            thread = threading.Thread(target=self._attend, args=(_core(index),), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _attend(self, core: int | None) -> None:
        """Gives one process tasks, and takes what it tells; runs in a thread."""
        process, connection = None, None
        while (work := self._waiting.get()) is not None:
            try:
                if connection is None or process is None:
                    process, connection = self._begin(core)
                self._news.put(self._finish(work, process, connection))
            except Exception as error:  # noqa: BLE001  such as what cannot be pickled
                self._news.put(News(work[0], "error", error))
            if self.needs.fresh and process is not None and connection is not None:
                _end(process, connection)
                process, connection = None, None
        if process is not None and connection is not None:
            _end(process, connection)

    def _begin(self, core: int | None) -> tuple[BaseProcess, Connection]:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, core, *self._code))
        with self._lock:
            if self._stopped:
                raise PamdpError("expected a running engine, received one that was stopped")
            process.start()
            self._running.append(process)
        theirs.close()
        return process, ours

    def _finish(self, work: Work, process: BaseProcess, connection: Connection) -> News:
        """Has a process do a task; passes its events on."""
        number = work[0]
        content, sent = pickle.dumps(work), False
        while True:
            try:
                if not sent:
                    connection.send_bytes(content)
                    sent = True
                # A helper that the task has started keeps the connection open after its end.
                wait([connection, process.sentinel])
                if not connection.poll():
                    raise EOFError
                news = News(*connection.recv())
            except (EOFError, OSError):
                process.join()
                return News(number, "error", _lost(named(*work[1:]), process.exitcode))
            if news.kind != "event":
                return news
            self._news.put(news)

    def _stop(self) -> None:
        """Ends what is under way; an environment has some time to be closed."""
        with self._lock:
            self._stopped = True
            # Of those that live: the number of another may be a stranger's by now.
            alive = [process for process in self._running if process.is_alive()]
            helpers = [each for process in alive for each in children_of(process.pid)]
            for process in self._running:
                process.terminate()
        for process in self._running:
            process.join(PATIENCE)
            process.kill()
        end_all(helpers)
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()


def _serve(
    connection: Connection, core: int | None, modules: Sequence[str], known: Mapping[Path, bytes]
) -> None:
    """Does the tasks that come; runs in a process of its own.

    Args:
      connection: brings tasks, and takes what they tell.
      core: the one that it keeps to, if any.
      modules: of a user, which tasks import.
      known: digests of their files, as these were when the work began.
    """
    # The process that started it ends it. No signal is ignored: a simulator would inherit that.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, _terminate)
    end_with_parent()
    if core is not None:
        with suppress(OSError):
            os.sched_setaffinity(0, {core})
    checked = False
    try:
        while True:
            number, task, arguments = connection.recv()
            if checked or not (edited := _edited(modules, known)):
                checked, news = True, _done(number, task, arguments, connection)
            else:
                news = number, "error", edited
            try:
                connection.send(news)
            except Exception as error:  # noqa: BLE001  a result that cannot be pickled
                connection.send((number, "error", portable(error)))
    except EOFError:
        return
    except Interrupted:
        sys.exit(TERMINATED)


def _digests(paths: Iterable[Path]) -> dict[Path, bytes]:
    """What files are, but for what changes no result."""
    found = {path: code(path) if path.suffix == ".py" else path.read_bytes() for path in paths}
    return {path: hashlib.sha256(content).digest() for path, content in found.items()}


def _edited(modules: Iterable[str], known: Mapping[Path, bytes]) -> PamdpError | None:
    """Imports a user's modules; what is wrong with their code, if it is not the known one."""
    for name in modules:
        with suppress(Exception):  # which the task is told when it imports it
            importlib.import_module(name)
    try:
        changed = [str(path) for path, found in _digests(known).items() if found != known[path]]
    except (OSError, PamdpError) as error:
        changed = [str(error)]
    if not changed:
        return None
    return PamdpError(
        f"{', '.join(changed)}: expected the code that was there when this began, received an "
        "edited one; run the same command again"
    )


def _done(number: int, task: Task, arguments: tuple, connection: Connection) -> tuple:
    """Runs a task, tells its events, and returns the last news of it."""
    generator = steps(task, arguments)
    try:
        while True:
            connection.send((number, "event", next(generator)))
    except StopIteration as end:
        return number, "result", end.value
    except Interrupted:
        raise
    except BaseException as error:  # noqa: BLE001  it is raised again where results are waited for
        return number, "error", portable(error)


def _terminate(number: int, _: Any) -> None:
    raise Interrupted(number)


def _end(process: BaseProcess, connection: Connection) -> None:
    """Lets a process end; threads that a task has left running may keep it from that."""
    connection.close()
    process.join(PATIENCE)
    process.kill()
    process.join()


def _lost(task: str, exitcode: int | None) -> PamdpError:
    """Says how a worker went, as far as that tells why."""
    exitcode = -signal.SIGTERM if exitcode == TERMINATED else exitcode
    if exitcode is None or exitcode >= 0:
        return PamdpError(
            f"{task}: the environment ended its process (exit code {exitcode}), which it must not "
            "do: let it raise an error instead"
        )
    name = signal.Signals(-exitcode).name if -exitcode in [*signal.Signals] else f"{-exitcode}"
    if -exitcode in CRASHES:
        return PamdpError(
            f"{task}: its process crashed in native code ({name}), as of a simulator that the "
            "environment uses; look for the cause there, with PYTHONFAULTHANDLER=1 for the place"
        )
    why = ", as for lack of memory: try PAMDP_WORKERS=1" if -exitcode == signal.SIGKILL else ""
    return PamdpError(
        f"{task}: its process was killed from outside ({name}){why}; the same command goes on"
    )


def _core(index: int) -> int | None:
    """The core of a worker, if the system can keep it there."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    cores: Sequence[int] = sorted(affinity(0)) if affinity else ()
    return cores[index % len(cores)] if cores else None

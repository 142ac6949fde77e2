"""Ray: tasks on the nodes of a cluster, which Ray Core schedules; without one, on this machine.

The coordinator alone touches files. What it sends is code of a user's study and plain values; what
comes back are events, checkpoints among them. So a task whose worker or node is lost goes on from
its last checkpoint, on whichever node has room.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from pamdp.base.errors import PamdpError
from pamdp.engines import worker
from pamdp.engines.base import NOTHING, Engine, Needs, News, Task, named
from pamdp.provenance import follow

OURS = Path(__file__).parents[1]  # installed on all nodes
PATIENCE = 10.0  # seconds for workers to end what they do
# Of a worker, of its node, or of what it had told and was kept there.
LOSSES = {"WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectLostError"}
LOSSES |= {"ObjectFetchTimedOutError", "OwnerDiedError", "ObjectReconstructionFailedError"}
ATTEMPTS = 3  # in a row without a new event, before a task that loses its workers is given up


class Work(NamedTuple):
    """A task to be done.

    Attributes:
      number: of the task.
      task: the function.
      arguments: its arguments, the last of which is where it goes on.
      attempts: how many workers it has lost since its last event.
    """

    number: int
    task: Task
    arguments: tuple
    attempts: int = 0


class Ray(Engine):
    """Runs tasks as tasks of Ray: on RAY_ADDRESS, or on this machine, where Ray is started for it.

    Tasks, arguments, events and results are pickled on their way.
    """

    elsewhere: ClassVar[bool] = True

    def __init__(self, num_workers: int, needs: Needs = NOTHING) -> None:
        """Connects to the cluster."""
        super().__init__(num_workers, needs)
        self._ray = connected()
        calls = int(needs.fresh)  # after so many a process ends; 0 is never
        self._work = self._ray.remote(max_calls=calls)(_shipped(worker.identity()))
        self._waiting: deque[Work] = deque()
        self._running: dict[Any, Work] = {}  # by the generator of what it tells
        self._peak = self._checked = 0  # bytes that a task has taken, and that some node has

    @classmethod
    def cores(cls) -> int:
        """How many cores the cluster has now."""
        if not os.environ.get("RAY_ADDRESS"):
            return super().cores()
        return max(1, int(connected().cluster_resources().get("CPU", 1)))

    @classmethod
    def shared(cls) -> dict[str, str]:
        """The address of the cluster."""
        return {"RAY_ADDRESS": connected().get_runtime_context().gcs_address}

    @cached_property
    def _code(self) -> dict[str, bytes]:
        """The modules of a user that stand in the study's folder, with what they import there.

        Ray's own way, a working directory, is for a whole connection and not for a task.
        """
        here = Path.cwd()
        files = follow(self.needs.modules).files.values()
        return {
            each.relative_to(here).as_posix(): each.read_bytes()
            for each in files
            if each.is_relative_to(here) and not each.is_relative_to(OURS)
        }

    def _start(self, number: int, task: Task, arguments: tuple) -> None:
        self._waiting.append(Work(number, task, arguments))

    def _fill(self) -> None:
        """Hands to Ray as much as may run at a time: what waits is kept here, in order."""
        while self._waiting and len(self._running) < self.num_workers:
            work = self._waiting.popleft()
            memory = self._memory()
            parts = work.task, work.arguments, self._resumes.get(work.number)
            content = pickle.dumps((self._code, pickle.dumps(parts)))
            options = {"num_cpus": 1, "max_retries": 0, "num_returns": "streaming"}
            task = self._work.options(**options, memory=memory)
            # Where others wait, a task that can go on later makes room for them now and then.
            self._running[task.remote(content, bool(self._waiting))] = work

    def _memory(self) -> int:
        """Bytes that a task asks for: what others have taken, or else what is estimated.

        Raises:
          PamdpError: no node has so much.
        """
        memory = self._peak or int(self.needs.memory)
        if memory > self._checked:
            found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            largest = max((each.get("memory", 0) for each in found if each.get("CPU")), default=0)
            if memory > largest:
                raise PamdpError(
                    f"expected a node with a core and {memory / 1e9:.1f} GB of memory, which a "
                    f"task takes, received nodes with {largest / 1e9:.1f} GB at most; add one, or "
                    "make the learner's settings smaller"
                )
            self._checked = memory
        return memory

    def _next(self) -> News:
        """Waits for what happens next to one of the tasks."""
        while True:
            self._fill()
            ready, _ = self._ray.wait([*self._running], num_returns=1)
            work = self._running.pop(ready[0])
            news = self._heard(ready[0], work)
            if news is not None:
                return news

    def _heard(self, events: Any, work: Work) -> News | None:
        """What a task has told; None where it begins again."""
        try:
            kind, value, peak = self._ray.get(next(events))
        except self._ray.exceptions.RayTaskError as error:
            return News(work.number, "error", _told(error))
        except self._ray.exceptions.RayError as error:
            if type(error).__name__ in LOSSES:
                return self._again(work, error)
            return News(work.number, "error", PamdpError(f"Ray: {_first(error)}"))
        self._peak = max(self._peak, peak)
        if kind == "turn":
            self._waiting.append(work)
            return None
        if kind == "event":
            resumes = self._resumes.get(work.number)
            if resumes and isinstance(value, resumes):
                work = work._replace(arguments=(*work.arguments[:-1], value))
            self._running[events] = work._replace(attempts=0)
        return News(work.number, kind, value)

    def _again(self, work: Work, lost: Exception) -> News | None:
        """Has a task begin again that has lost its worker."""
        if work.attempts + 1 >= ATTEMPTS:
            why = (
                f"{named(work.task, work.arguments)}: its worker was lost {ATTEMPTS} times in a row"
            )
            return News(work.number, "error", PamdpError(f"{why}, the last time: {_first(lost)}"))
        self._waiting.appendleft(work._replace(attempts=work.attempts + 1))
        return None

    def _stop(self) -> None:
        """Ends what is under way."""
        self._waiting.clear()
        for events in self._running:
            self._ray.cancel(events, force=True)
        ended = [events.completed() for events in self._running]
        self._running.clear()
        if ended:
            self._ray.wait(ended, num_returns=len(ended), timeout=PATIENCE)


@cache
def connected() -> ModuleType:
    """Ray, connected to the cluster of RAY_ADDRESS, or to one that is started on this machine.

    Raises:
      PamdpError: Ray is not installed, or there is no cluster there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing here reports to anyone
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # one error is told, ours
    try:
        import ray
    except ImportError:
        raise PamdpError(
            "PAMDP_ENGINE: expected Ray to be installed, found none; `pip install 'pamdp[ray]'`"
        ) from None
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS") or None
        here = {} if address else {"num_cpus": Engine.workers(), "include_dashboard": False}
        told = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            with _signals_kept():
                ray.init(address=address or "local", **told, **here)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise PamdpError(
                f"RAY_ADDRESS: expected the address of a Ray cluster that can be reached, received "
                f"{address!r} ({_first(error)}); `ray start --head` starts one"
            ) from None
    return ray


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keeps the handler of SIGTERM, which Ray replaces by one that ends the process on the spot."""
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, kept)


def _shipped(expected: worker.Identity) -> Any:
    """What workers run. It travels as code, so that it can tell what is missing there."""
    plain = expected._asdict()  # a worker without pamdp can read it

    def work(content: bytes, turns: bool) -> Any:
        try:
            from pamdp.engines import worker
        except ImportError as error:
            import socket

            raise RuntimeError(
                f"node {socket.gethostname()}: expected pamdp {plain['versions']['pamdp']} to be "
                f"installed, received none ({error}); install it on every node"
            ) from None
        worker.agree(worker.Identity(**plain))
        yield from worker.run(content, turns)

    return work


def _told(error: Any) -> Exception:
    """What a worker said before it could run a task."""
    cause = error.cause
    return cause if isinstance(cause, PamdpError) else PamdpError(_first(cause))


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

"""Ray: tasks on the nodes of a cluster, which Ray Core schedules; without one, on this machine.

The coordinator alone touches files. What it sends is code of a user's study and plain values; what
comes back are events, checkpoints among them. So a task whose worker or node is lost goes on from
its last checkpoint, on whichever node has room.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections import deque
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from pamdp.base.errors import PamdpError
from pamdp.engines import worker
from pamdp.engines.base import NOTHING, Engine, Needs, News, Task, named, own_files
from pamdp.engines.cluster import connected, largest, places
from pamdp.provenance import digest

ENDING = 5.0  # seconds for workers to end
WORDLESS = 60.0  # seconds of waiting before it is said for what
ATTEMPTS = 3  # without a new checkpoint, before a task that loses its workers is given up
# Of a worker, of its node, or of what it had told and was kept there.
LOSSES = {"WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "ObjectLostError"}
LOSSES |= {"ObjectFetchTimedOutError", "OwnerDiedError", "ObjectReconstructionFailedError"}


class Pending(NamedTuple):
    """A task that waits or runs.

    Attributes:
      number: of the task.
      task: the function.
      arguments: its arguments, the last of which is where it goes on.
      losses: how many workers it has lost since its last checkpoint.
    """

    number: int
    task: Task
    arguments: tuple
    losses: int = 0


class Ray(Engine):
    """Runs tasks as tasks of Ray: on RAY_ADDRESS, or on this machine, where Ray is started for it.

    Tasks, arguments, events and results are pickled on their way.
    """

    elsewhere: ClassVar[bool] = True

    def __init__(self, num_workers: int, needs: Needs = NOTHING) -> None:
        """Connects to the cluster.

        Raises:
          PamdpError: there is none, or none of its nodes has the memory that a task needs.
        """
        super().__init__(num_workers, needs)
        self._ray = connected()
        self._waiting: deque[Pending] = deque()
        self._running: dict[Any, Pending] = {}  # by the generator of what it tells
        self._peak = 0  # bytes that a finished task has taken
        most = largest(self._ray)
        if most and needs.memory > most:
            raise PamdpError(
                f"expected a node with {needs.memory / 1e9:.1f} GB of memory, which a task takes, "
                f"received a cluster whose nodes have {most / 1e9:.1f} GB at most; add one, or "
                "make the learner's settings smaller"
            )

    @classmethod
    def cores(cls) -> int:
        """How many cores the cluster has now."""
        if not os.environ.get("RAY_ADDRESS"):
            return super().cores()
        return max(1, int(connected().cluster_resources().get("CPU", 1)))

    @classmethod
    def memory(cls) -> float:
        """Bytes that the largest node has for tasks; 0 where that is not known, or this machine."""
        return largest(connected()) if os.environ.get("RAY_ADDRESS") else 0.0

    @classmethod
    def join(cls) -> dict[str, str]:
        """Connects; the address of the cluster, for other processes."""
        return {"RAY_ADDRESS": connected().get_runtime_context().gcs_address}

    @cached_property
    def _work(self) -> Any:
        """What workers run, as Ray calls it."""
        calls = int(self.needs.fresh)  # after so many a process ends; 0 is never
        own = worker.identity()
        packages = digest(self.needs.modules)["distributions"]
        expected = own._replace(versions=own.versions | packages)
        return self._ray.remote(max_calls=calls)(_shipped(expected))

    @property
    def _options(self) -> dict[str, Any]:
        """How Ray is to run a task."""
        options = {"num_cpus": 1, "max_retries": 0, "num_returns": "streaming"}
        options["memory"] = self._memory
        if self.needs.fresh:  # no worker is taken that has done a task of another kind before
            options["runtime_env"] = {"env_vars": {"PAMDP_FRESH": "1"}}
        return options

    @cached_property
    def _files(self) -> dict[str, bytes]:
        """The modules of a user that tasks import and that are installed nowhere, by their paths.

        Ray's own way, a working directory, is for a whole connection and not for a task.
        """
        return {name: path.read_bytes() for name, path in own_files(self.needs.modules).items()}

    def _start(self, number: int, task: Task, arguments: tuple) -> None:
        self._waiting.append(Pending(number, task, arguments))

    def _fill(self) -> None:
        """Hands to Ray as much as may run at a time: what waits is kept here, in order."""
        while self._waiting and (room := self.num_workers - len(self._running)) > 0:
            # Where others wait, a task that can go on later makes room for them now and then.
            turns = len(self._waiting) > room
            pending = self._waiting.popleft()
            task = self._work.options(**self._options)
            self._running[task.remote(self._packed(pending), turns)] = pending

    def _packed(self, pending: Pending) -> bytes:
        """What a worker is sent of a task."""
        task = pickle.dumps((*pending[1:3], self._resumes.get(pending.number)))
        return pickle.dumps(worker.Parcel(self._files, tuple(self.needs.own), task))

    @property
    def _memory(self) -> int:
        """Bytes that a task asks for: what others have taken, or else what is estimated."""
        asked = self._peak or self.needs.memory
        return int(min(asked, largest(self._ray) or asked))

    def _next(self) -> News:
        """Waits for what happens next to one of the tasks."""
        while True:
            self._fill()
            ready, _ = self._ray.wait([*self._running], num_returns=1, timeout=WORDLESS)
            if not ready:
                self._tell_why()
                continue
            events = ready[0]
            news = self._heard(events, self._running[events])
            if news is not None:
                return news

    def _tell_why(self) -> None:
        """Says why nothing happens, where it is for the cluster."""
        if not places(self._ray):
            sys.stderr.write("Ray: waiting for a node with cores, of which the cluster has none\n")

    def _heard(self, events: Any, pending: Pending) -> News | None:
        """What a task has told; None where it begins again."""
        errors, number = self._ray.exceptions, pending.number
        try:
            kind, value, peak = self._ray.get(next(events))
        except errors.RayTaskError as error:
            kind, value, peak = "error", _said_before(error), 0
        except errors.RayError as error:
            if type(error).__name__ in LOSSES and pending.losses + 1 < ATTEMPTS:
                self._ray.cancel(events, force=True)  # what is left of it
                del self._running[events]
                self._waiting.appendleft(pending._replace(losses=pending.losses + 1))
                return None
            kind, value, peak = "error", _lost(pending, error), 0
        if kind == "event":
            resumes = self._resumes.get(number)
            if resumes and isinstance(value, resumes):
                on = (*pending.arguments[:-1], value)
                pending = pending._replace(arguments=on, losses=0)
        del self._running[events]
        if kind == "event":
            self._running[events] = pending  # at the end, so that others are heard, too
        if kind == "turn":
            self._waiting.append(pending)
            return None
        if kind == "result":
            self._peak = max(self._peak, peak)
        return News(number, kind, value)

    def _stop(self) -> None:
        """Ends what is under way; Ray interrupts no generator, so that nothing is closed there."""
        self._waiting.clear()
        running = [*self._running]
        self._running.clear()
        for events in running:
            self._ray.cancel(events, force=True)
        if running:
            left = [events.completed() for events in running]
            self._ray.wait(left, num_returns=len(left), timeout=ENDING)


def _shipped(expected: worker.Identity) -> Any:
    """What workers run. It travels as code, so that it can tell what is missing there."""
    wanted, plain = expected.versions["pamdp"], expected._asdict()

    def work(content: bytes, turns: bool) -> Any:
        import socket
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("pamdp")
        except PackageNotFoundError:
            found = "none"
        if found != wanted:
            raise RuntimeError(
                f"node {socket.gethostname()}: expected pamdp {wanted} to be installed, received "
                f"{found}; install the same on every node"
            )
        from pamdp.engines import worker

        worker.check(worker.Identity(**plain))
        yield from worker.run(content, turns)

    return work


def _said_before(error: Any) -> Exception:
    """What went wrong on a worker before it ran a task."""
    cause = error.cause
    return cause if isinstance(cause, PamdpError) else PamdpError(_first(cause))


def _lost(pending: Pending, error: Exception) -> PamdpError:
    """Says how a task went whose workers are lost, or which Ray cannot run."""
    name = named(pending.task, pending.arguments)
    if type(error).__name__ not in LOSSES:
        return PamdpError(f"{name}: {type(error).__name__}: {_first(error)}")
    return PamdpError(
        f"{name}: lost its worker {ATTEMPTS} times without a checkpoint in between, the last time: "
        f"{_first(error)}"
    )


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

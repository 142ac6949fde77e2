"""What an engine is."""

from __future__ import annotations

import inspect
import os
import pickle
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pamdp.base.errors import PamdpError
from pamdp.provenance import follow

Task = Callable[..., Any]
Told = Callable[[int, Any], object]  # is given the number of a task and what it yielded


class Needs(NamedTuple):
    """What tasks need of the worker that runs them.

    Attributes:
      modules: of a user's code, which tasks import.
      memory: bytes of a task, as far as known before one has run.
      fresh: whether each task gets a process of its own.
    """

    modules: frozenset[str] = frozenset()
    memory: float = 0.0
    fresh: bool = False

    @property
    def own(self) -> list[str]:
        """Those of the modules that are no part of this package."""
        return sorted(name for name in self.modules if name.partition(".")[0] != "pamdp")


NOTHING = Needs()


class News(NamedTuple):
    """What happened to a task: an event, its result, or the error that ended it."""

    number: int
    kind: Literal["event", "result", "error"]
    value: Any


class Engine(ABC):
    """Runs tasks side by side; a context manager, which ends what is under way.

    Whoever submits tasks gets their events and results in its own thread, while it waits. So
    it alone touches files, and needs no locks.

    Attributes:
      elsewhere: whether tasks run where something else shares out cores and memory.
      num_workers: how many tasks run at a time.
      needs: what they need of a worker.
    """

    elsewhere: ClassVar[bool] = False

    def __init__(self, num_workers: int, needs: Needs = NOTHING) -> None:
        """Starts nothing yet."""
        self.num_workers, self.needs = num_workers, needs
        self._news: SimpleQueue[News] = SimpleQueue()
        self._told: list[Told | None] = []
        self._results: dict[int, Any] = {}
        self._resumes: dict[int, type] = {}

    @classmethod
    def workers(cls) -> int:
        """How many tasks it can run at a time: PAMDP_WORKERS, by default as many as it has cores.

        Raises:
          PamdpError: PAMDP_WORKERS is no such number.
        """
        text = os.environ.get("PAMDP_WORKERS", "")
        if not text:
            return cls.cores()
        if not text.isdecimal() or int(text) < 1:
            raise PamdpError(f"PAMDP_WORKERS: expected a whole number from 1, received {text!r}")
        return int(text)

    @classmethod
    def cores(cls) -> int:
        """How many cores it has."""
        affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
        return len(affinity(0)) if affinity else os.cpu_count() or 1

    @classmethod
    def memory(cls) -> float:
        """Bytes that a task may take where it runs; 0 where that is this machine."""
        return 0.0

    @classmethod
    def join(cls) -> dict[str, str]:
        """Connects to what runs the tasks; variables by which other processes find the same."""
        return {}

    @abstractmethod
    def _start(self, number: int, task: Task, arguments: tuple) -> None:
        """Has a task run as soon as a worker is free; `_next` tells what happens."""

    def _next(self) -> News:
        """Waits for what happens next."""
        return self._news.get()

    @abstractmethod
    def _stop(self) -> None:
        """Ends all workers: no task is begun any more, and what is under way is given up."""

    def submit(
        self,
        task: Task,
        *arguments: Any,
        told: Told | None = None,
        resumes: type | None = None,
    ) -> int:
        """Hands over a task; tasks begin in the order in which they are handed over.

        Args:
          task: a function of a module.
          arguments: plain values.
          told: is given the events, while `result` waits for this task or for another.
          resumes: the type of events from which the task can go on, given as its last argument. A
            task that goes on tells again some of what it has told.

        Returns:
          The number of the task.
        """
        self._told.append(told)
        number = len(self._told) - 1
        if resumes:
            self._resumes[number] = resumes
        self._start(number, task, arguments)
        return number

    def result(self, number: int) -> Any:
        """Waits for a task to end.

        Raises:
          Whatever a task raises, this one or another; a RuntimeError for what is no `Exception`.
        """
        while number not in self._results:
            news = self._next()
            if news.kind == "error":
                raise news.value
            if news.kind == "result":
                self._results[news.number] = news.value
                self._told[news.number] = None
            elif told := self._told[news.number]:
                told(news.number, news.value)
        return self._results.pop(number)

    def map(
        self,
        task: Task,
        items: Iterable[tuple],
        told: Told | None = None,
        resumes: type | None = None,
    ) -> list[Any]:
        """Runs a task for each of some arguments; the others are those of `submit`.

        Returns:
          The results, in the order of the items.
        """
        first = len(self._told)

        def of_item(number: int, event: Any) -> None:
            if told is not None:
                told(number - first, event)

        numbers = [self.submit(task, *each, told=of_item, resumes=resumes) for each in items]
        return [self.result(number) for number in numbers]

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends all workers."""
        self._stop()


def own_files(modules: Iterable[str]) -> dict[str, Path]:
    """The files of a user's modules that tasks import and that are installed nowhere, by place.

    Args:
      modules: that tasks import.

    Returns:
      Paths, by where a file would have to stand in a folder that is on Python's path.
    """
    found = {}
    for name, path in follow(modules).files.items():
        if name.partition(".")[0] != "pamdp":
            end = "/__init__.py" if path.name == "__init__.py" else ".py"
            found[name.replace(".", "/") + end] = path
    return found


def as_error(error: BaseException) -> Exception:
    """What a task raised, as an error: raised anew, SystemExit would end whoever waits for it."""
    if isinstance(error, Exception):
        return error
    words = "".join(traceback.format_exception_only(error)).strip()
    raised = RuntimeError(f"expected a task to return or to raise an error, it raised {words}")
    raised.__cause__ = error
    return raised


def named(task: Task, arguments: tuple) -> str:
    """A task in words: its function, and those of its arguments that are a few words."""
    words = [getattr(argument, "name", argument) for argument in arguments]
    short = [str(word) for word in words if isinstance(word, str | int | tuple)]
    name = getattr(task, "__name__", "a task").strip("_")
    return " ".join([name, *(word for word in short if len(word) < 100)])


def steps(task: Task, arguments: tuple) -> Generator[Any, None, Any]:
    """A task as a generator, whether it is one or not."""
    result = task(*arguments)
    if inspect.isgenerator(result):
        result = yield from result
    return result


def portable(error: BaseException) -> Exception:
    """An error that survives the way to another process, with the traceback it has here."""
    trace = "".join(traceback.format_exception(error))
    try:
        told = pickle.loads(pickle.dumps(as_error(error)))  # noqa: S301  our own, a moment old
    except Exception:  # noqa: BLE001  a stranger's class may refuse
        # Its own `str` may refuse, too.
        told = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    told.add_note(f"In a worker process:\n{trace}")
    return told

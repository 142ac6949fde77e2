"""What an engine is."""

from __future__ import annotations

import inspect
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

Task = Callable[..., Any]
Told = Callable[[int, Any], object]  # is given the number of a task and what it yielded


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
      num_workers: how many tasks run at a time.
    """

    def __init__(self, num_workers: int) -> None:
        """Starts nothing yet."""
        self.num_workers = num_workers
        self._news: SimpleQueue[News] = SimpleQueue()
        self._told: list[Told | None] = []
        self._results: dict[int, Any] = {}

    @abstractmethod
    def _start(self, number: int, task: Task, arguments: tuple) -> None:
        """Has a task run as soon as a worker is free; what happens is put into `_news`."""

    @abstractmethod
    def _stop(self) -> None:
        """Ends all workers: no task is begun any more, and what is under way is given up."""

    def submit(self, task: Task, *arguments: Any, told: Told | None = None) -> int:
        """Hands over a task; tasks begin in the order in which they are handed over.

        Args:
          task: a function of a module.
          arguments: plain values.
          told: is given the events, while `result` waits for this task or for another.

        Returns:
          The number of the task.
        """
        self._told.append(told)
        number = len(self._told) - 1
        self._start(number, task, arguments)
        return number

    def result(self, number: int) -> Any:
        """Waits for a task to end.

        Raises:
          Whatever a task raises, this one or another; a RuntimeError for what is no `Exception`.
        """
        while number not in self._results:
            news = self._news.get()
            if news.kind == "error":
                raise news.value
            if news.kind == "result":
                self._results[news.number] = news.value
            elif told := self._told[news.number]:
                told(news.number, news.value)
        return self._results.pop(number)

    def map(self, task: Task, items: Iterable[tuple], told: Told | None = None) -> list[Any]:
        """Runs a task for each of some arguments.

        Returns:
          The results, in the order of the items.
        """
        first = len(self._told)

        def of_item(number: int, event: Any) -> None:
            if told is not None:
                told(number - first, event)

        numbers = [self.submit(task, *arguments, told=of_item) for arguments in items]
        return [self.result(number) for number in numbers]

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends all workers."""
        self._stop()


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

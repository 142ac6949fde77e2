"""Threads: compiled loops release the interpreter's lock, so that one process uses all cores."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Done = tuple[int, str, Any]  # index of a task, what happened (item, end or error), and with what


def interleave(
    tasks: Sequence[Generator[Item, None, Any]], num_workers: int
) -> Iterator[tuple[int, Item]]:
    """Runs generators side by side, each one step at a time in turn.

    Turns keep the tasks level, so that all workers have work until shortly before the end, however
    many tasks there are.

    Args:
      tasks: generators; no two steps of one run at the same time.
      num_workers: threads.

    Yields:
      (index of the task, what it yielded), as it comes.

    Raises:
      Whatever a task raises; the others are stopped after their current step.
    """
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Done] = queue.SimpleQueue()
    stopped = threading.Event()
    for index in range(len(tasks)):
        waiting.put(index)
    arguments = tasks, waiting, done, stopped
    threads = [
        threading.Thread(target=_work, args=arguments, daemon=True) for _ in range(num_workers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield from _results(done, len(tasks))
    finally:
        stopped.set()
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()


def _work(
    tasks: Sequence[Generator],
    waiting: queue.SimpleQueue[int | None],
    done: queue.SimpleQueue[Done],
    stopped: threading.Event,
) -> None:
    """Takes a waiting task one step further, again and again; runs in a thread."""
    while (index := waiting.get()) is not None and not stopped.is_set():
        try:
            done.put((index, "item", next(tasks[index])))
            waiting.put(index)
        except StopIteration:
            done.put((index, "end", None))
        except BaseException as error:  # it is raised again where the results are read
            done.put((index, "error", error))


def _results(done: queue.SimpleQueue[Done], running: int) -> Iterator[tuple[int, Any]]:
    """What the tasks yield, until all of them have ended."""
    while running:
        index, kind, value = done.get()
        if kind == "error":
            raise value
        if kind == "end":
            running -= 1
        else:
            yield index, value

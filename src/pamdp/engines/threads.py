"""Threads: compiled loops release the interpreter's lock, so that one process uses all cores."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


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
    done: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
    stopped = threading.Event()

    def work() -> None:
        while (index := waiting.get()) is not None and not stopped.is_set():
            try:
                done.put((index, "item", next(tasks[index])))
                waiting.put(index)
            except StopIteration:
                done.put((index, "end", None))
            except BaseException as error:  # it is raised again where the results are read
                done.put((index, "error", error))

    for index in range(len(tasks)):
        waiting.put(index)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(num_workers)]
    for thread in threads:
        thread.start()
    try:
        running = len(tasks)
        while running:
            index, kind, value = done.get()
            if kind == "error":
                raise value
            if kind == "end":
                running -= 1
            else:
                yield index, value
    finally:
        stopped.set()
        for _ in threads:
            waiting.put(None)
        for thread in threads:
            thread.join()

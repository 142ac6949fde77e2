"""Threads: compiled loops release the interpreter's lock, so that one process uses all cores."""

from __future__ import annotations

import threading
from collections.abc import Generator
from queue import SimpleQueue

from pamdp.engines.base import NOTHING, Engine, Needs, News, Task, as_error, steps


class Threads(Engine):
    """Runs tasks in threads, each one step at a time in turn.

    Turns keep the tasks level, so that all workers have work until shortly before the end, however
    many tasks there are.
    """

    def __init__(self, num_workers: int, needs: Needs = NOTHING) -> None:
        """Starts the threads, which wait for tasks; they have all that tasks need."""
        super().__init__(num_workers, needs)
        self._waiting: SimpleQueue[tuple[int, Generator] | None] = SimpleQueue()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(num_workers)
        ]
        for thread in self._threads:
            thread.start()

    def _start(self, number: int, task: Task, arguments: tuple) -> None:
        self._waiting.put((number, steps(task, arguments)))

    def _work(self) -> None:
        """Takes a waiting task one step further, again and again."""
        while (turn := self._waiting.get()) is not None and not self._stopped.is_set():
            number, generator = turn
            try:
                # The news come first, or another worker could tell of the next step before.
                self._news.put(News(number, "event", next(generator)))
                self._waiting.put(turn)
            except StopIteration as end:
                self._news.put(News(number, "result", end.value))
            except BaseException as error:  # noqa: BLE001  raised again where it is waited for
                self._news.put(News(number, "error", as_error(error)))

    def _stop(self) -> None:
        """Waits for the steps under way."""
        self._stopped.set()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

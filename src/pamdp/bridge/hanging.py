"""Names the environment that hangs, on stderr. It is only words: nothing is ended."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

FIRST, SECOND, LATER = 10.0, 60.0, 600.0  # seconds: the first two lines, and then one each so often
LOOK = 1.0  # seconds between two looks


class Watch:
    """The calls of environments that are under way in this process, and a thread that looks.

    A step pays for storing a tuple with the time; all else is the thread's, which starts with the
    first call.

    Args:
      write: what takes a line.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._calls: dict[int, tuple[Any, float]] = {}  # by thread: what is called, since when
        self._told: dict[int, tuple[float, float]] = {}  # by thread: of what, after how long
        self._lock = threading.Lock()
        self._looking = False

    def begin(self, call: Any) -> Any:
        """Notes what this thread calls, something with a `str`; gives what it was in before."""
        if not self._looking:
            self._start()
        thread = threading.get_ident()
        before = self._calls.get(thread)
        self._calls[thread] = call, time.monotonic()
        return before

    def end(self, before: Any) -> None:
        """Notes that the call has ended; what it was made from starts to count anew."""
        if before is None:
            del self._calls[threading.get_ident()]
        else:
            self._calls[threading.get_ident()] = before[0], time.monotonic()

    def look(self, now: float) -> None:
        """Writes a line for each call that has become due."""
        for thread, (call, since) in list(self._calls.items()):
            began, told = self._told.get(thread, (since, 0.0))
            due = _due(told if began == since else 0.0)
            if now - since >= due:
                self._told[thread] = since, now - since
                self._write(f"still waiting, since {now - since:.0f} s, for {call}")

    def _start(self) -> None:
        with self._lock:
            if not self._looking:
                self._looking = True
                threading.Thread(target=self._run, name="pamdp-watch", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK)
            self.look(time.monotonic())


def _due(told: float) -> float:
    """After how many seconds the next line comes, if the last one came after `told`."""
    return FIRST if told < FIRST else SECOND if told < SECOND else told + LATER


def _to_stderr(line: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # closed, or taken away
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


WATCH = Watch(_to_stderr)

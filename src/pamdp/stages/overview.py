"""The line of a whole study: which stages are under way, and how long the rest takes."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from threading import Lock

from tqdm import tqdm

from pamdp.progress import LINE_SECONDS, duration

COUNTED = re.compile(r"(\w+) (\S+): ([\d,]+) of ([\d,]+) ")  # the progress of a stage of a cell
TRUSTED = 60.0  # seconds after which the pace counts as much as the estimate
SHOWN = 3  # stages under way, by name


class Overview:
    """Shows how far the cells of a study are: a bar on a terminal, a line now and then elsewhere.

    Use as a context manager, from any thread.
    """

    def __init__(self, work: Mapping[str, Mapping[str, float]], cores: int, rest: float) -> None:
        """Nothing is done yet.

        Args:
          work: for each cell its stages that are out of date, in order, with the seconds that each
            takes of one core, as estimated.
          cores: how many are at work.
          rest: seconds of what comes after the cells.
        """
        self._work, self._cores, self._rest = work, cores, rest
        self._done = {cell: dict.fromkeys(stages, 0.0) for cell, stages in work.items()}
        self._under_way: dict[str, str] = {}
        self._finished: list[str] = []
        self._lock, self._started, self._shown = Lock(), time.monotonic(), 0.0
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=1.0,
            bar_format="study: {desc} {percentage:3.0f}%|{bar}|",
            disable=not self._terminal,
            dynamic_ncols=True,
        )

    def __enter__(self) -> Overview:
        """Shows the first line, and returns itself."""
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the bar."""
        self._bar.close()

    def begin(self, cell: str) -> None:
        """A cell begins."""
        with self._lock:
            self._under_way[cell] = next(iter(self._work[cell]))
            if self._terminal:
                self._show()

    def hear(self, line: str) -> None:
        """Takes from a line that a stage has printed how far it is."""
        found = COUNTED.match(line)
        if not (found and found[1] in self._done.get(found[2], {})):
            return
        stage, cell = found[1], found[2]
        done, total = (int(number.replace(",", "")) for number in found.groups()[2:])
        with self._lock:
            for each in self._done[cell]:
                if each == stage:
                    break
                self._done[cell][each] = 1.0
            self._done[cell][stage] = done / total if total else 1.0
            self._under_way[cell] = stage
            if self._terminal or time.monotonic() - self._shown > LINE_SECONDS:
                self._show()

    def end(self, cell: str, well: bool) -> None:
        """A cell ends, well or not."""
        with self._lock:
            self._under_way.pop(cell, None)
            if well:
                self._finished.append(cell)
                self._done[cell] = dict.fromkeys(self._done[cell], 1.0)
                self._show()

    @property
    def text(self) -> str:
        """How many cells are done, which stages are under way, and the time left."""
        taken = time.monotonic() - self._started
        parts = [f"{len(self._finished)} of {len(self._work)} cells"]
        if len(self._finished) == len(self._work):
            parts[0] += f" in {duration(taken)}"
        names = [f"{stage} {cell}" for cell, stage in self._under_way.items()]
        if len(names) > SHOWN:
            names[SHOWN:] = [f"{len(names) - SHOWN} more"]
        parts += [f"{', '.join(names)} under way"] if names else []
        parts.append(f"about {duration(10 * round(self._left(taken) / 10))} left")
        return "; ".join(parts)

    def _left(self, taken: float) -> float:
        total, done = self._seconds()
        # At first as estimated, and more and more as it went.
        pace = (taken + TRUSTED) / (done + TRUSTED * self._cores)
        return (total - done) * pace + self._rest

    def _seconds(self) -> tuple[float, float]:
        """Of all work, and of what of it is done."""
        pairs = [
            (seconds, self._done[cell][stage])
            for cell, stages in self._work.items()
            for stage, seconds in stages.items()
        ]
        return sum(seconds for seconds, _ in pairs), sum(s * share for s, share in pairs)

    def _show(self) -> None:
        self._shown = time.monotonic()
        if self._terminal:
            total, done = self._seconds()
            self._bar.set_description_str(self.text, refresh=False)
            self._bar.n = done / total if total else 1.0
            self._bar.refresh()
        else:
            sys.stderr.write(f"study: {self.text}\n")
            sys.stderr.flush()

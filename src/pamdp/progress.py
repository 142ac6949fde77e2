"""How far the work is: a bar on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

LINE_SECONDS = 15.0


class Progress:
    """Counts steps towards a total and shows speed, time left and the numbers given.

    Use as a context manager.
    """

    def __init__(self, label: str, total: int, unit: str = "step") -> None:
        """Starts counting.

        Args:
          label: what is being done.
          total: how many steps it takes.
          unit: what a step is called.
        """
        self._label, self._total, self._unit = label, total, unit
        self._done = self._earlier = 0
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()
        # The text of the lines: tqdm's own would count earlier steps as work. It comes before the
        # bar, which is what may be cut off.
        self._bar = tqdm(
            total=total,
            bar_format=label + ": {desc} {percentage:3.0f}%|{bar}|",
            disable=not self._terminal,
            dynamic_ncols=True,
        )

    def __enter__(self) -> Progress:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the bar."""
        self._bar.close()

    def update(self, steps: int, earlier: bool = False, **numbers: float) -> None:
        """Counts steps that are done and shows numbers beside them.

        Args:
          steps: how many.
          earlier: an interrupted run did them: they are no work of this one.
          numbers: by name; `_` is shown as a space.
        """
        self._done += steps
        self._earlier += steps if earlier else 0
        text = self._text(numbers)
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(steps)
        now = time.monotonic()
        finished = self._done >= self._total
        if not self._terminal and (now - self._shown > LINE_SECONDS or finished):
            self._shown = now
            sys.stderr.write(f"{self._label}: {text}\n")
            sys.stderr.flush()

    def _text(self, numbers: dict[str, float]) -> str:
        taken = time.monotonic() - self._started
        left, work = self._total - self._done, self._done - self._earlier
        parts = [f"{self._done:,} of {self._total:,} {self._unit}s"]
        if left <= 0:
            parts[0] += f" in {duration(taken)}"
        if work and taken > 0:
            parts.append(self._speed(taken / work))
            if left > 0:
                parts.append(f"{duration(taken / work * left)} left")
        parts += [f"{name.replace('_', ' ')} {value:.3f}" for name, value in numbers.items()]
        return ", ".join(parts)

    def _speed(self, seconds: float) -> str:
        """Steps a second, or the time of one, given the seconds that one takes."""
        if seconds > 1:
            return f"{duration(seconds)} per {self._unit}"
        return f"{1 / seconds:,.{1 if seconds > 0.1 else 0}f} {self._unit}s/s"


def duration(seconds: float) -> str:
    """A time in words, in two units at most, such as `9.5 s`, `41 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 59.5:
        return f"{round(seconds, 1 if seconds < 10 else None):g} s"
    large, small, whole = "min", "s", round(seconds)
    if whole >= 3600:
        large, small, whole = "h", "min", round(seconds / 60)
    rest = f" {whole % 60} {small}" if whole % 60 else ""
    return f"{whole // 60} {large}{rest}"

"""How far the work is: a bar on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

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
        self._label, self._unit = label, unit
        self._terminal = sys.stderr.isatty()
        self._started = self._shown = time.monotonic()
        self._bar = tqdm(
            total=total,
            desc=label,
            unit=f" {unit}s",
            unit_scale=total > 10_000,
            disable=not self._terminal,
            dynamic_ncols=True,
            leave=True,
        )
        self._total, self._done = total, 0

    def __enter__(self) -> Progress:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the bar."""
        self._bar.close()

    def update(self, steps: int, **numbers: float) -> None:
        """Counts steps that were done and shows numbers beside them."""
        self._done += steps
        text = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(steps)
        now = time.monotonic()
        if not self._terminal and (now - self._shown > LINE_SECONDS or self._done >= self._total):
            self._shown = now
            speed = self._done / max(now - self._started, 1e-9)
            left = (self._total - self._done) / speed
            line = (
                f"{self._label}: {self._done:,} of {self._total:,} {self._unit}s, "
                f"{speed:,.0f} {self._unit}s/s, {left:.0f} s left, {text}"
            )
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

"""Learning curves of cells while they are trained, where tools that watch DVC's files see them.

Outputs of a stage are there when it ends. So the folder `live` is none: while something is trained
it has a dvc.yaml of its own, which names metrics and a plot, and no stages. Nothing depends on it.
It is removed by `setup` and `report` alone: elsewhere, another DVC may be reading just now.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import read_json, replacing, write_csv, write_json
from pamdp.learning.training import Point

PIPELINE = """\
metrics:
- metrics.json
plots:
- curves.csv:
    template: learning_curves
    x: step
    y: mean
    title: Greedy return of what is being trained
"""
INTERVAL = 2.0  # seconds at least between two writes
COLUMNS = ("cell", "step", "mean", "low", "high")


class Live:
    """Shows the curve of a cell beside those of others that are trained now.

    Each process keeps the points of its cell in a file of its own, and puts all of these together.
    """

    def __init__(self, checkout: Checkout, cell: str) -> None:
        """Shows nothing yet.

        Args:
          checkout: whose.
          cell: its name.
        """
        self._folder, self._cell = checkout.live, cell
        self._parts = checkout.work / "live"
        self._written = -INTERVAL

    def show(self, curves: Mapping[int, Sequence[Point]]) -> None:
        """Shows the points that all seeds have reached, unless it has done so just now.

        Args:
          curves: by seed.
        """
        points = [
            [(point.step, point.metrics["eval/return"]) for point in points]
            for points in zip(*curves.values(), strict=False)
        ]
        now = time.monotonic()
        if not points or now - self._written < INTERVAL:
            return
        self._written = now
        with suppress(PamdpError, OSError):  # no training fails because of what is shown of it
            self._write(points)

    def _write(self, points: Sequence[Sequence[tuple[int, float]]]) -> None:
        rows = []
        for seeds in points:
            returns = [value for _, value in seeds]
            spread = (float(np.mean(returns)), min(returns), max(returns))
            rows.append([self._cell, seeds[0][0], *spread])
        write_json(self._parts / f"{self._cell}.json", rows)
        curves = [read_json(path, list) for path in sorted(self._parts.glob("*.json"))]
        last = {rows[-1][0]: {"step": rows[-1][1], "return": rows[-1][2]} for rows in curves}
        write_csv(self._folder / "curves.csv", [COLUMNS, *(row for rows in curves for row in rows)])
        write_json(self._folder / "metrics.json", last)
        pipeline = self._folder / "dvc.yaml"
        if not pipeline.is_file():  # last, as it names the others
            with replacing(pipeline) as scratch:
                scratch.write_text(PIPELINE, encoding="utf-8")


def forget(checkout: Checkout) -> None:
    """Removes what was shown of cells whose training has ended."""
    for folder in (checkout.live, checkout.work / "live"):
        shutil.rmtree(folder, ignore_errors=True)

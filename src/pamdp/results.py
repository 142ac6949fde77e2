"""What training and tuning from Python give."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pamdp.base.component import LARGEST_INTEGER
from pamdp.base.errors import PamdpError, nearest
from pamdp.learning.policy import Weights
from pamdp.learning.training import Point
from pamdp.recipe import Recipe

if TYPE_CHECKING:
    from pamdp.tuning.study import Trial


@dataclass(frozen=True, repr=False)
class Result:
    """A trained seed.

    Attributes:
      cell: what was trained.
      seed: of all random numbers.
      points: the learning curve; each has `step`, `metrics` by name.
      weights: of the policy, as arrays.
    """

    cell: Recipe
    seed: int
    points: Sequence[Point]
    weights: Weights

    def curve(self, metric: str = "eval/return") -> tuple[np.ndarray, np.ndarray]:
        """A metric over the steps: [N] int steps, [N] float values, where it was measured.

        Raises:
          PamdpError: there is no such metric.

        Examples:
          >>> cell = pamdp.cell("platform", changes={"training.steps": 2000})
          >>> steps, returns = pamdp.train(cell, seed=1).curve("eval/return")
          >>> steps
          array([2000])
        """
        found = [(p.step, p.metrics[metric]) for p in self.points if metric in p.metrics]
        if not found:
            known = sorted({name for point in self.points for name in point.metrics})
            raise PamdpError(
                f"metric: expected one of {', '.join(known)}, received {metric!r}"
                f"{nearest(metric, known)}"
            )
        return np.array([step for step, _ in found], int), np.array([value for _, value in found])

    def __repr__(self) -> str:
        """In a line."""
        lasting = self.cell.task.describe().get("reproducible", True)
        told = f"seed {self.seed}, {len(self.points)} points"
        return f"Result({self.cell.name}, {told}{'' if lasting else ', not reproducible'})"


@dataclass(frozen=True, repr=False)
class Tuned:
    """What a search gave.

    Attributes:
      cell: the cell with the best values.
      score: of these; None where every trial diverged, and the cell is as it was, or the one that
        `tuning.use_trial` names.
      trials: all of them, in order: `number`, `values` by path and `score`.
    """

    cell: Recipe
    score: float | None
    trials: Sequence[Trial]

    def __repr__(self) -> str:
        """In a line."""
        return f"Tuned({self.cell.name}, score {self.score}, {len(self.trials)} trials)"


def whole(name: str, given: Any, least: int) -> int:
    """An argument as Python's integer.

    Raises:
      PamdpError: it is none in the range.
    """
    try:
        number = operator.index(given)
    except TypeError:
        number = -1
    if isinstance(given, bool) or not least <= number <= LARGEST_INTEGER:
        raise PamdpError(
            f"{name}: expected a whole number from {least} to {LARGEST_INTEGER}, received {given!r}"
        )
    return number

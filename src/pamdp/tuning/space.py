"""The part of `tuning.space` that a cell has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from pamdp.base.component import with_node
from pamdp.base.errors import SettingsError
from pamdp.explain import explained
from pamdp.learning.cell import Cell
from pamdp.tuning.settings import Choices, Dimension, Tuning

# Which end of what decides on how much memory and how long a run has to have asks for most.
DEMANDING = {
    "learner.batch_size": max,
    "learner.n_step": max,
    "learner.n_step.steps": max,
    "learner.learning_starts": max,
    "learner.replay_size": min,
}


@dataclass(frozen=True)
class Space:
    """What is tuned of a cell.

    Attributes:
      cell: whose.
      tuning: as it holds for the cell.
    """

    cell: Cell
    tuning: Tuning

    @cached_property
    def dimensions(self) -> dict[str, Dimension]:
        """The dimensions that the cell has, by path."""
        known = self.cell.nodes
        return {
            d.path: d
            for d in self.tuning.space
            if d.path in known and (isinstance(d, Choices) or is_number(known[d.path]))
        }

    @cached_property
    def current(self) -> dict[str, Any]:
        """The values that the cell has, by path: trial 0."""
        known = self.cell.nodes
        return {path: known[path] for path in self.dimensions}

    @cached_property
    def choices(self) -> dict[str, list[Any]]:
        """What there is to choose from, by path, in full: with all that a block leaves out."""
        return {
            path: [self.cell.replace({path: value}).nodes[path] for value in dimension.choices]
            for path, dimension in self.dimensions.items()
            if isinstance(dimension, Choices)
        }

    def is_integer(self, path: str) -> bool:
        """Whether integers are tried."""
        return isinstance(self.current[path], int)

    @cached_property
    def given(self) -> list[dict[str, Any]]:
        """The values of the first trials: the cell's own, and the points that are about it."""
        points = [{p: v for p, v in e.items() if p in self.current} for e in self.tuning.enqueue]
        cells = [self.cell, *(self.cell.replace(point) for point in points if point)]
        return [{path: cell.nodes[path] for path in self.current} for cell in cells]

    @property
    def num_trials(self) -> int:
        """How many trials are run: where nothing is tuned, all would be trial 0."""
        return self.tuning.trials if self.dimensions else min(self.tuning.trials, 1)

    @property
    def most_demanding(self) -> Cell:
        """The cell with the values that ask for the largest memory and the longest run.

        Raises:
          SettingsError: its memory is too small.
        """
        worst = {
            path: end(self._ends(path), key=_size)
            for path, end in DEMANDING.items()
            if path in self.dimensions
        }
        return replaced(self.cell, worst, "tuning.space")

    def _ends(self, path: str) -> list[Any]:
        dimension = self.dimensions[path]
        if isinstance(dimension, Choices):
            return self.choices[path]
        return [int(dimension.low), int(dimension.high)]


def _size(value: Any) -> int:
    """That of a number, or of `learner.n_step`."""
    return value["steps"] if isinstance(value, Mapping) else value or 0


def shown(value: Any) -> bool | int | float | str | None:
    """A value as one word of a table: lists and blocks as JSON."""
    return json.dumps(value) if isinstance(value, list | tuple | Mapping) else value


def replaced(cell: Cell, values: Mapping[str, Any], where: str) -> Cell:
    """The cell with other settings, by path.

    Args:
      cell: whose.
      values: as `Cell.replace` takes them.
      where: they stand, for messages.

    Raises:
      SettingsError: a value is out of range, or does not fit the others.
    """
    try:
        return cell.replace(values)
    except ValidationError as error:
        whole: Any = cell.model_dump(mode="json")
        for path, value in values.items():
            whole = with_node(whole, path, to_jsonable_python(value))
        raise SettingsError(f"{where}: {explained(error, whole)[0]}") from None


def is_number(value: Any) -> bool:
    """Whether a range can stand for it."""
    return isinstance(value, int | float) and not isinstance(value, bool)

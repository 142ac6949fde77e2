"""The part of `tuning.space` that a cell has, and what may be wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from pydantic import ValidationError

from pamdp.base.component import Component, nodes
from pamdp.base.errors import nearest
from pamdp.explain import expected
from pamdp.learning.cell import Cell
from pamdp.tuning.settings import Choices, Dimension, Range, Tuning

# What cannot be tuned, by the first word of its path, and why.
_COMPARED = "tells what a cell is; cells are compared by naming more of them in study.{}"
_OUTSIDE = "is none of a cell, and its trials must be comparable"
FIXED = {
    "task": "is of the environment, and returns of different ones are not comparable; give each an "
    "entry of its own in environments",
    "name": _COMPARED.format("environments"),
    "algorithm.kind": _COMPARED.format("algorithms"),
    "strategy.kind": _COMPARED.format("strategies"),
    **dict.fromkeys(("training", "evaluation", "study", "tuning", "return_threshold"), _OUTSIDE),
}
SIZES = tuple(f"learner.{n}" for n in ("batch_size", "replay_size", "learning_starts", "n_step"))
BLOCKS = ("initial_parameters", "learner", "algorithm", "strategy")


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
            if d.path in known and (isinstance(d, Choices) or _is_number(known[d.path]))
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

    def extremes(self) -> Iterator[Cell]:
        """The cell with each combination of the ends of what decides how long a run has to be."""
        ends = {
            path: self.choices.get(path) or self._ends(path)
            for path in self.dimensions
            if path.startswith(SIZES)
        }
        for values in product(*ends.values()):
            yield self.cell.replace(dict(zip(ends, values, strict=True)))

    def _ends(self, path: str) -> list[Any]:
        dimension = self.dimensions[path]
        kind = int if self.is_integer(path) else float
        return [kind(dimension.low), kind(dimension.high)] if isinstance(dimension, Range) else []


def shown(value: Any) -> bool | int | float | str | None:
    """A value as one word of a table: lists and blocks as JSON."""
    return json.dumps(value) if isinstance(value, list | tuple | Mapping) else value


def check_paths(tuning: Tuning, parts: Iterable[tuple[str, Component | None]]) -> None:
    """Refuses paths that no cell has, or that cannot be tuned.

    Args:
      tuning: whose space and points are looked at.
      parts: what cells may consist of, with the field that it is there.

    Raises:
      ValueError: says where, and why.
    """
    known: dict[str, list[Any]] = {}
    for field, part in parts:
        plain = None if part is None else part.model_dump(mode="json")
        for path, value in nodes({field: plain}):
            known.setdefault(path, []).append(value)
    paths = [dimension.path for dimension in tuning.space]
    for index, dimension in enumerate(tuning.space):
        if wrong := _wrong_path(dimension, known) or _clash(dimension.path, paths[:index]):
            raise ValueError(f"tuning.space.{index}.path: expected {wrong}")
    for index, point in enumerate(tuning.enqueue):
        for path in point:
            if path not in paths:
                raise ValueError(
                    f"tuning.enqueue.{index}: expected paths of tuning.space, received "
                    f"{path!r}{nearest(path, paths)}"
                )


def _wrong_path(dimension: Dimension, known: Mapping[str, list[Any]]) -> str | None:
    """Why a path cannot be tuned, if it cannot."""
    path = dimension.path
    for fixed, reason in FIXED.items():
        if _within(path, fixed):
            return f"what can be tuned, received {path!r}; it {reason}"
    if path in BLOCKS:
        return f"what can be tuned, received {path!r}, a whole block; name a setting in it"
    if path not in known:
        return (
            "the path of a setting of a cell, such as learner.q.learning_rate, received "
            f"{path!r}{_hint(path, known)}"
        )
    if isinstance(dimension, Range) and not any(map(_is_number, known[path])):
        return (
            f"the path of a number for a range, received {path!r}, which is "
            f"{json.dumps(known[path][0])}; give `choices` in place of `low` and `high`"
        )
    return None


def _clash(path: str, others: Iterable[str]) -> str | None:
    """Why a path cannot be tuned beside others, if it cannot."""
    for other in others:
        if path == other:
            return f"each path once, received {path!r} again"
        if _within(path, _block(other)) or _within(other, _block(path)):
            return (
                f"no path within another's block, received {path!r} beside {other!r}; give choices "
                "of the whole block"
            )
    return None


def _block(path: str) -> str:
    """What a path decides on: of a `kind`, what stands beside it, too."""
    return path.removesuffix(".kind")


def _within(path: str, block: str) -> bool:
    return path == block or path.startswith(f"{block}.")


def check_cell(space: Space) -> None:
    """Refuses values that a cell must not have.

    Raises:
      ValueError: says where, and why.
    """
    for index, dimension in enumerate(space.tuning.space):
        if dimension.path in space.dimensions:
            _check_values(space, dimension, f"tuning.space.{index}")
    if not space.tuning.trials:
        return
    for index, dimension in enumerate(space.tuning.space):
        if dimension.path in space.dimensions:
            _check_start(space, dimension, f"tuning.space.{index}")
    for index, point in enumerate(space.tuning.enqueue):
        for path, value in point.items():
            if path in space.dimensions:
                _replaced(space.cell, path, value, f"tuning.enqueue.{index}: {path}")
                _check_inside(space, path, value, f"tuning.enqueue.{index}")


def _check_values(space: Space, dimension: Dimension, where: str) -> None:
    path, cell = dimension.path, space.cell
    if isinstance(dimension, Choices):
        full: list[Any] = []
        for index, value in enumerate(dimension.choices):
            replaced = _replaced(cell, path, value, f"{where}.choices.{index}")
            full.append(replaced.nodes[path])
            if full[-1] in full[:-1]:
                raise ValueError(
                    f"{where}.choices.{index}: expected each value once, received "
                    f"{json.dumps(value)} again"
                )
        return
    for name, end in (("low", dimension.low), ("high", dimension.high)):
        if space.is_integer(path):
            if not float(end).is_integer():
                raise ValueError(
                    f"{where}.{name}: expected an integer, as {path} has to be, received {end}"
                )
            end = int(end)
        _replaced(cell, path, end, f"{where}.{name}")


def _check_start(space: Space, dimension: Dimension, where: str) -> None:
    """What the cell starts with is trial 0, and has to lie within."""
    path = dimension.path
    value, name = space.current[path], space.cell.name
    if isinstance(dimension, Range):
        if not dimension.low <= value <= dimension.high:
            raise ValueError(
                f"{where}: expected a range around {value}, with which {name} starts, received "
                f"{dimension.low} to {dimension.high}"
            )
    elif value not in space.choices[path]:
        raise ValueError(
            f"{where}: expected choices among which is {json.dumps(value)}, with which {name} "
            f"starts, received {json.dumps(space.choices[path])}"
        )


def _check_inside(space: Space, path: str, value: Any, where: str) -> None:
    dimension = space.dimensions[path]
    value = space.cell.replace({path: value}).nodes[path]
    if isinstance(dimension, Choices):
        inside, allowed = value in space.choices[path], f"one of {json.dumps(space.choices[path])}"
    else:
        inside = _is_number(value) and dimension.low <= value <= dimension.high
        allowed = f"{dimension.low} to {dimension.high}"
    if not inside:
        raise ValueError(
            f"{where}: expected {path} to be {allowed}, as tuning.space has it, received "
            f"{json.dumps(value)}"
        )


def _replaced(cell: Cell, path: str, value: Any, where: str) -> Cell:
    try:
        return cell.replace({path: value})
    except ValidationError as error:
        reason = expected(error.errors()[0])
        raise ValueError(
            f"{where}: expected {reason}, as {path} has to be, received {shown(value)}"
        ) from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _hint(path: str, known: Mapping[str, list[Any]]) -> str:
    """Why there is no such path, as far as that can be guessed."""
    *parents, _ = path.split(".")
    for end in range(len(parents), 0, -1):
        block = ".".join(parents[:end])
        if block in known and all(value is None for value in known[block]):
            return f"; {block} is null, give it a value first, or choices"
    inner = path.split(".", 2)[-1]
    if path.startswith("environments.") and inner in known:
        return f"; paths begin within the cell: {inner!r}"
    return nearest(path, known)

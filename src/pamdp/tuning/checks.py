"""What may be wrong with `tuning.space` and the points of `tuning.enqueue`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pamdp.base.component import Component, nodes
from pamdp.base.errors import nearest
from pamdp.tuning.settings import Choices, Dimension, Range, Tuning
from pamdp.tuning.space import Space, is_number, replaced

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
BLOCKS = ("initial_parameters", "learner", "algorithm", "strategy")


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
    if isinstance(dimension, Range) and not any(map(is_number, known[path])):
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


def check_ranges(spaces: Sequence[Space]) -> None:
    """Refuses a range that would be left out of each search, as no cell has a number there.

    Args:
      spaces: those of a study's cells that share `tuning.space`.

    Raises:
      ValueError: says where, and why.
    """
    for index, dimension in enumerate(spaces[0].tuning.space):
        path = dimension.path
        found = [known[path] for known in (space.cell.nodes for space in spaces) if path in known]
        if found and not any(path in space.dimensions for space in spaces):
            raise ValueError(
                f"tuning.space.{index}.path: expected the path of a number for a range, received "
                f"{path!r}, which is {json.dumps(found[0])} in each cell of the study that has it; "
                "give it a number first, or choices"
            )


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
    used = space.tuning.use_trial or 0
    if used >= space.num_trials:
        raise ValueError(
            f"tuning.use_trial: expected 0, the only trial of {space.cell.name}, which has nothing "
            f"of tuning.space, received {used}"
        )
    for index, point in enumerate(space.tuning.enqueue):
        for path, value in point.items():
            if path in space.dimensions:
                replaced(space.cell, {path: value}, f"tuning.enqueue.{index}")
                _check_inside(space, path, value, f"tuning.enqueue.{index}")


def _check_values(space: Space, dimension: Dimension, where: str) -> None:
    path, cell = dimension.path, space.cell
    if isinstance(dimension, Choices):
        full: list[Any] = []
        for index, value in enumerate(dimension.choices):
            tried = replaced(cell, {path: value}, f"{where}.choices.{index}")
            full.append(tried.nodes[path])
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
        replaced(cell, {path: end}, f"{where}.{name}")


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
        inside = is_number(value) and dimension.low <= value <= dimension.high
        allowed = f"{dimension.low} to {dimension.high}"
    if not inside:
        raise ValueError(
            f"{where}: expected {path} to be {allowed}, as tuning.space has it, received "
            f"{json.dumps(value)}"
        )


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

"""Action spaces: which action drives which box, and the element that the environment is sent.

What each action drives is set, or follows from the space where it cannot be mistaken:

- one box beside the `Discrete`, or one box and one action: each action drives it,
- K boxes in one `Tuple`: box k belongs to action k,
- K boxes in one `Dict`, whose keys are one prefix and the numbers of the actions, `param_0` and so
  on: each belongs to the action of its number.

The order of other keys says nothing: Gymnasium sorts those of a plain `dict` as text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from pamdp.base.errors import SettingsError, nearest
from pamdp.base.spaces import Action, ActionSpec
from pamdp.bridge.translation.nests import (
    Part,
    as_float32,
    check_names,
    has_range,
    nesting,
    parts_of,
)

# The boxes that an action drives, by the number that the environment gives it, or all of them.
Drives = Mapping[int, Sequence[str]] | Literal["all"]
SHOWN = 12  # actions in the lines that an error says to write


@dataclass(frozen=True)
class Actions:
    """A parameterised action space.

    Attributes:
      space: the environment's own.
      spec: the same actions; the parameters of one are those of its boxes, flattened, one box after
        another.
      boxes: for each action, those that it drives.
      start: the number that the environment gives to the first action.
    """

    space: gymnasium.Space
    spec: ActionSpec
    boxes: tuple[tuple[Part, ...], ...]
    start: int

    @classmethod
    def of(
        cls, space: gymnasium.Space, drives: Drives | None = None, features: Any = None
    ) -> Actions:
        """Reads an action space.

        Args:
          space: the environment's.
          drives: what each action drives; None where the space tells it.
          features: [K, F] what the environment tells of its actions; None for nothing.

        Raises:
          SettingsError: it is not parameterised, a parameter is not a bounded real number, it is
            not known what an action drives, or the features are no such table.
        """
        parts = parts_of(space)
        choices = [part for part in parts if isinstance(part.space, spaces.Discrete)]
        boxes = [part for part in parts if isinstance(part.space, spaces.Box)]
        if len(choices) != 1 or not boxes or len(boxes) != len(parts) - 1:
            raise SettingsError(
                "expected the action space Tuple(Discrete(K), Tuple(Box, ...)), or another nest of "
                f"Tuple and Dict that holds one Discrete and boxes, received {space}; wrap the "
                "environment"
            )
        first, number = int(choices[0].space.start), int(choices[0].space.n)
        if drives != "all":
            check_names(boxes, "parameters")
        if drives is None:
            driven = _inferred(space, choices[0], boxes)
        elif drives == "all":
            driven = [boxes] * number
        else:
            driven = _chosen(range(first, first + number), boxes, drives)
        told = _features(features, number)
        spec = ActionSpec(
            tuple(_action(k, named, told[k]) for k, named in enumerate(_named(driven)))
        )
        if spec.num_parameters == 0:
            raise SettingsError(
                f"expected a parameter of at least one action, received none in {space}; this is "
                "about parameterised actions"
            )
        return cls(space, spec, tuple(map(tuple, driven)), first)

    def own(self, index: int, parameters: np.ndarray) -> Any:
        """An element of the environment's own space.

        Args:
          index: the discrete action, counted from 0; the start of the `Discrete` is added.
          parameters: [m] its parameters in environment units, padded. They are clipped. What the
            action does not drive is at its lower bounds.
        """
        values = [
            part.low.copy() if isinstance(part, spaces.Box) else part.dtype.type(part.start + index)
            for part in self._members
        ]
        taken = 0
        for _, place, box in self.boxes[index]:
            block = parameters[taken : taken + box.low.size]
            given = np.asarray(block, box.dtype).reshape(box.shape)
            values[place] = np.asarray(np.minimum(np.maximum(given, box.low), box.high))
            taken += box.low.size
        return self._nest(iter(values))

    def described(self) -> list[dict[str, Any]]:
        """For each action, the number that the environment gives it and the boxes it drives."""
        return [
            {"number": self.start + index, "drives": [box.name for box in boxes]}
            for index, boxes in enumerate(self.boxes)
        ]

    # Looked up once: these are asked for at each step.
    @cached_property
    def _nest(self) -> Callable[[Iterator[Any]], Any]:
        return nesting(self.space)

    @cached_property
    def _members(self) -> list[Any]:
        return [part.space for part in parts_of(self.space)]


def _inferred(space: gymnasium.Space, choice: Part, boxes: list[Part]) -> list[list[Part]]:
    """What each action drives, where it cannot be mistaken."""
    first, number = int(choice.space.start), int(choice.space.n)
    parents = {box.keys[:-1] for box in boxes}
    beside = parents == {choice.keys[:-1]}
    if len(boxes) == 1 and (number == 1 or beside):
        return [boxes] * number
    if len(boxes) == number and len(parents) == 1:
        parent: Any = space
        for key in parents.pop():
            parent = parent[key]
        if isinstance(parent, spaces.Tuple) and not beside:  # what is beside may be shared
            return [[box] for box in boxes]
        numbered = {}
        for box in boxes:
            if match := re.fullmatch(r"(.*?)(\d+)", str(box.keys[-1])):
                numbered[match[1], int(match[2])] = box
        prefixes = {prefix for prefix, _ in numbered}
        expected = [(prefix, first + k) for prefix in prefixes for k in range(number)]
        if len(prefixes) == 1 and set(numbered) == set(expected):
            return [[numbered[key]] for key in expected]
    raise SettingsError(_unknown(range(first, first + number), boxes))


def _unknown(numbers: range, boxes: list[Part]) -> str:
    """That it is not known what the actions drive, and what to write."""
    names = [_written(box.name) for box in boxes]
    shares = [names[k : k + 1] for k in range(len(numbers))]
    shares[-1] = names[len(numbers) - 1 :]  # those that are left over
    lines = [f"{n}: [{', '.join(s)}]" for n, s in zip(numbers, shares, strict=True)]
    lines = [*lines[:SHOWN], *(["..."] if len(lines) > SHOWN else [])]
    return (
        f"expected to be told which of the boxes {', '.join(names)} each of the {len(numbers)} "
        "actions drives, as neither their order nor their names tell it, received none; write one "
        "of these beside the id, and put each box where it belongs: here they stand in the order "
        "of the space, whose keys Gymnasium may have sorted by the alphabet, so do not copy it "
        "blindly:\n"
        f"  parameters: {{{', '.join(lines)}}}\n"
        "  parameters: all"
    )


def _written(name: str) -> str:
    """A name as YAML has to have it, to be read as one."""
    plain = re.fullmatch(r"[A-Za-z_][\w.]*|\d+", name) and name not in ("true", "false", "null")
    return name if plain else json.dumps(name)


def _chosen(
    numbers: range, boxes: list[Part], drives: Mapping[int, Sequence[str]]
) -> list[list[Part]]:
    """What each action drives by the settings."""
    known = {box.name: box for box in boxes}
    names = ", ".join(known)
    actions = f"the actions {numbers[0]} to {numbers[-1]}"
    if strange := [number for number in drives if number not in numbers]:
        raise SettingsError(f"parameters: expected {actions}, received {strange[0]}")
    for number in numbers:
        where = f"parameters.{number}"
        if number not in drives:
            raise SettingsError(
                f"{where}: expected a list of boxes for each of {actions}, received none; [] is "
                "for an action without parameters"
            )
        for name, count in Counter(drives[number]).items():
            if name not in known:
                raise SettingsError(
                    f"{where}: expected boxes among {names}, received {name}{nearest(name, known)}"
                )
            if count > 1:
                raise SettingsError(f"{where}: expected each box once, received {name} again")
    used = {name for listed in drives.values() for name in listed}
    if idle := [name for name, box in known.items() if box.space.low.size and name not in used]:
        raise SettingsError(
            f"parameters: expected each of the boxes {names} to be driven by an action, received "
            f"none for {idle[0]}"
        )
    return [[known[name] for name in drives[number]] for number in numbers]


def _named(driven: list[list[Part]]) -> list[tuple[str | None, list[Part]]]:
    """With the names of actions that have a box, and its key, for themselves."""
    users = Counter(box.name for boxes in driven for box in boxes)

    def name(boxes: list[Part]) -> str | None:
        own = len(boxes) == 1 and users[boxes[0].name] == 1
        key = boxes[0].keys[-1] if own else None
        return key if isinstance(key, str) else None

    return [(name(boxes), boxes) for boxes in driven]


def _features(given: Any, number: int) -> list[tuple[float, ...]]:
    """What an environment tells of each of its actions."""
    if given is None:
        return [()] * number
    try:
        table = np.asarray(given, np.float32)
        received = f"an array {table.shape}{'' if np.isfinite(table).all() else ', not all finite'}"
    except (TypeError, ValueError) as error:
        table, received = np.zeros(0), f"{type(given).__name__}: {error}"
    if table.ndim != 2 or len(table) != number or not np.isfinite(table).all():
        raise SettingsError(
            f"action_features: expected a row of finite numbers for each of the {number} actions, "
            f"received {received}"
        )
    return [tuple(map(float, table[number])) for number in range(len(table))]


def _action(
    number: int, named: tuple[str | None, list[Part]], features: tuple[float, ...]
) -> Action:
    name = named[0] or f"action_{number}"
    low, high = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    exact = [
        ends
        for *_, box in named[1]
        for ends in zip(np.ravel(box.low), np.ravel(box.high), strict=True)
    ]
    for _, _, box in named[1]:
        if not np.issubdtype(box.dtype, np.floating):
            # Rounding for it would hide that the Q-function's gradient means nothing there.
            raise SettingsError(
                f"expected real numbers as the parameters of {name}, received {box}; round them "
                "within the environment, or make each value an action"
            )
        for row, bound, inside in ((low, box.low, np.inf), (high, box.high, -np.inf)):
            row.append(_inward(bound, inside))
    lows, highs = np.concatenate(low), np.concatenate(high)
    for index in np.flatnonzero(~has_range(lows, highs)):
        raise SettingsError(
            f"expected finite bounds with low < high of each parameter, received "
            f"{_ends(*exact[index])} of parameter {index} of {name}; wrap the environment"
        )
    return Action(name, tuple(map(float, lows)), tuple(map(float, highs)), features)


def _ends(low: Any, high: Any) -> str:
    """Bounds in all their digits, and what float32 makes of them if that is the fault."""
    rounded, why = as_float32([low, high]), ""
    if low < high and np.isfinite([low, high]).all():
        why = ", one number in float32," if rounded[0] == rounded[1] else ", beyond float32,"
    return f"low {low!s} and high {high!s}{why}"


def _inward(bound: np.ndarray, inside: float) -> np.ndarray:
    """[m] float32: bounds, where these are no float32 the next one in the direction of `inside`.

    So what is within them is within the environment's own, too.
    """
    row, exact = as_float32(bound), np.ravel(bound)
    beyond = row < exact if inside > 0 else row > exact
    beyond &= np.isfinite(row)  # what float32 cannot hold at all is refused
    return np.where(beyond, np.nextafter(row, np.float32(inside)), row)

"""Spaces of any Gymnasium environment, translated to and from this package's one form.

A parameterised action space is a nest of `Tuple` and `Dict` that holds exactly one `Discrete`, the
choice among K actions, and the boxes of their parameters:

- K boxes: box k, in the order of the space, has the parameters of action k; an action without
  parameters has a box of shape (0,),
- or one box beside the `Discrete`: all actions share it.

So `Tuple(Discrete, Tuple(Box, ...))`, `Tuple(Discrete, Box, ...)`, `Tuple(Discrete, Box)`, and the
same with `Dict`. The order of a `Dict` is that of its keys in the space, and a box's key names its
action. Gymnasium sorts the keys of a plain `dict` as text, so that `kick` comes before `run`, and
`box_10` before `box_2`; `Dict(run=..., kick=...)` keeps the order in which it is written.

An observation space is a `Box`, or a nest of boxes, which are put one after another; a `Discrete`
at the end of a `Tuple` is taken for a count of steps and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from pamdp.base.errors import SettingsError
from pamdp.base.spaces import Action, ActionSpec


class Part(NamedTuple):
    """A space in a nest of Tuples and Dicts that is neither itself.

    Attributes:
      keys: the indices and keys that lead to it.
      place: its number among all such parts.
      space: the space.
    """

    keys: tuple[Any, ...]
    place: int
    space: Any


@dataclass(frozen=True)
class Actions:
    """A parameterised action space.

    Attributes:
      space: the environment's own.
      spec: the same actions, their parameters flattened.
      boxes: for each action, the box of its parameters.
    """

    space: gymnasium.Space
    spec: ActionSpec
    boxes: tuple[Part, ...]

    @classmethod
    def of(cls, space: gymnasium.Space) -> Actions:
        """Reads an action space.

        Raises:
          SettingsError: it is not parameterised, or a parameter is not a bounded real number.
        """
        parts = _parts(space)
        choices = [part for part in parts if isinstance(part.space, spaces.Discrete)]
        boxes = [part for part in parts if isinstance(part.space, spaces.Box)]
        if len(choices) != 1 or not boxes or len(boxes) != len(parts) - 1:
            raise SettingsError(
                "expected the action space Tuple(Discrete(K), Tuple(Box, ...)), or another nest of "
                f"Tuple and Dict that holds one Discrete and boxes, received {space}; wrap the "
                "environment"
            )
        number = int(choices[0].space.n)
        if len(boxes) == 1 and len(boxes[0].keys) == len(choices[0].keys):
            boxes = [boxes[0]._replace(keys=())] * number  # its key is the name of no action
        if len(boxes) != number:
            raise SettingsError(
                f"expected {number} boxes in the action space, one for each action, or a single "
                f"one beside the Discrete that all share, received {len(boxes)} in {space}"
            )
        spec = ActionSpec(tuple(_action(index, box) for index, box in enumerate(boxes)))
        if spec.num_parameters == 0:
            raise SettingsError(
                f"expected a parameter of at least one action, received none in {space}; this is "
                "about parameterised actions"
            )
        return cls(space, spec, tuple(boxes))

    def own(self, index: int, parameters: np.ndarray) -> Any:
        """An element of the environment's own space.

        Args:
          index: the discrete action, counted from 0; the start of the `Discrete` is added.
          parameters: [m] its parameters in environment units, padded. They are clipped, as a
            float32 may exceed a bound of another precision. Those of the other actions are their
            lower bounds.
        """
        values = [
            part.low.copy() if isinstance(part, spaces.Box) else part.dtype.type(part.start + index)
            for part in self._members
        ]
        _, place, box = self.boxes[index]
        given = np.asarray(parameters[: self.spec.sizes[index]], box.dtype).reshape(box.shape)
        values[place] = np.asarray(np.minimum(np.maximum(given, box.low), box.high))
        return _nested(self.space, iter(values))

    @cached_property
    def _members(self) -> list[Any]:
        return [part.space for part in _parts(self.space)]


@dataclass(frozen=True)
class Observations:
    """An observation space.

    Attributes:
      space: the environment's own.
      boxes: the boxes in it.
      low: [S] lower bounds of the flat observation. A feature has both bounds or none: where one is
        missing, or they leave no finite range, they are infinite.
      high: [S] upper bounds.
    """

    space: gymnasium.Space
    boxes: tuple[Part, ...]
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, space: gymnasium.Space) -> Observations:
        """Reads an observation space.

        Raises:
          SettingsError: it holds something else than boxes, or nothing.
        """
        boxes = _parts(space)
        if isinstance(space, spaces.Tuple) and len(space) > 0:
            counted = isinstance(space[-1], spaces.Discrete)
            boxes = boxes[:-1] if counted else boxes
        others = [box for box in boxes if not isinstance(box.space, spaces.Box)]
        if others or not sum(box.space.low.size for box in boxes):
            raise SettingsError(
                "expected the observation space Box, Tuple(Box, Discrete) or Dict of boxes, "
                f"received {space}; wrap the environment, for example in FlattenObservation"
            )
        low = np.concatenate([_float32(box.space.low) for box in boxes])
        high = np.concatenate([_float32(box.space.high) for box in boxes])
        bounded = _has_range(low, high)
        low, high = np.where(bounded, low, -np.inf), np.where(bounded, high, np.inf)
        return cls(space, tuple(boxes), low, high)

    def flat(self, observation: Any) -> np.ndarray:
        """[S] float32: an observation's numbers one after another.

        Raises:
          ValueError: it has not the form of the space, or a number is not finite.
        """
        flat = np.concatenate([self._numbers(observation, box) for box in self.boxes])
        if not np.isfinite(flat).all():
            raise ValueError(f"expected an observation of finite numbers, received {observation}")
        return flat

    def _numbers(self, observation: Any, box: Part) -> np.ndarray:
        numbers = observation
        try:
            for key in box.keys:
                numbers = numbers[key]
            found = np.shape(numbers)
        except (IndexError, KeyError, TypeError, ValueError):
            found = "no array"
        if found != box.space.shape:
            where = "".join(f"[{key!r}]" for key in box.keys)
            raise ValueError(
                f"expected an observation of {self.space}, received {found} as observation{where}: "
                f"{observation}"
            )
        return _float32(numbers)


def _parts(space: gymnasium.Space) -> list[Part]:
    """The parts of a space in order."""
    return [Part(keys, place, found) for place, (keys, found) in enumerate(_found(space))]


def _found(space: gymnasium.Space, *keys: Any) -> Iterator[tuple[tuple, gymnasium.Space]]:
    if isinstance(space, spaces.Tuple | spaces.Dict):
        members = space.spaces
        for key, member in members.items() if isinstance(members, dict) else enumerate(members):
            yield from _found(member, *keys, key)
    else:
        yield keys, space


def _nested(space: gymnasium.Space, values: Iterator[Any]) -> Any:
    """An element of a space, given those of its parts in order."""
    if isinstance(space, spaces.Tuple):
        return tuple(_nested(member, values) for member in space.spaces)
    if isinstance(space, spaces.Dict):
        return {key: _nested(member, values) for key, member in space.spaces.items()}
    return next(values)


def _action(number: int, part: Part) -> Action:
    box, key = part.space, part.keys[-1] if part.keys else None
    name = key if isinstance(key, str) else f"action_{number}"
    if not np.issubdtype(box.dtype, np.floating):
        # Rounding for it would hide that the Q-function's gradient means nothing there.
        raise SettingsError(
            f"expected real numbers as the parameters of {name}, received {box}; round them within "
            "the environment, or make each value an action"
        )
    low, high = _float32(box.low), _float32(box.high)
    for index in np.flatnonzero(~_has_range(low, high)):
        raise SettingsError(
            f"expected finite bounds with low < high of each parameter, received low {low[index]} "
            f"and high {high[index]} of parameter {index} of {name}; wrap the environment"
        )
    return Action(name, tuple(map(float, low)), tuple(map(float, high)))


def _float32(values: Any) -> np.ndarray:
    """The numbers in a row; those beyond the range of float32 are infinite."""
    row = np.ravel(values)
    if row.dtype == np.float32:
        return row
    with np.errstate(over="ignore"):
        return row.astype(np.float32)


def _has_range(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N] bool: whether there is something between the bounds, and it can be measured."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (low < high) & np.isfinite(high - low)

"""Observation spaces: one row of float32 numbers, and which of their bounds can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten, flatten_space

from pamdp.base.errors import SettingsError, nearest
from pamdp.bridge.translation.nests import Part, as_float32, check_names, has_range, parts_of

FLAT = (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete)
WIDEST = 100  # bounds that are more than so many times as wide as what was met say nothing about it
RESOLVED = 1e-4  # a share of what was met that float32 has to tell apart
UNIT = 1.0  # float32 has to tell apart around a number that was the only one to be met
MANY = 10  # values of a discrete part that are worth a remark
ROUNDING = 1e-6  # by such a share a number may exceed its bounds


class Seen(NamedTuple):
    """The range of each feature in episodes that were played.

    Attributes:
      low: [S] float64 the lowest numbers.
      high: [S] float64 the highest.
    """

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Observations:
    """An observation space.

    A feature has both bounds or none. Without bounds it is scaled by the moments of what training
    meets with: where one is missing or they leave no finite range, where something outside of them
    was met, and where they are so wide that all that was met would be scaled to one number.

    Attributes:
      space: the environment's own.
      parts: those of the space that are observed; boxes as they are, the others one-hot.
      seen: what was met. None if that is not known: then the bounds are used as they are.
    """

    space: gymnasium.Space
    parts: tuple[Part, ...]
    seen: Seen | None

    @classmethod
    def of(
        cls, space: gymnasium.Space, omit: Sequence[str] = (), seen: Seen | None = None
    ) -> Observations:
        """Reads an observation space.

        Args:
          space: the environment's.
          omit: names of parts, or of nests of them, that are left out.
          seen: what was met.

        Raises:
          SettingsError: it holds what is no row of numbers, or nothing; it has no part that `omit`
            names; `seen` is of another number of features.
        """
        parts = parts_of(space)
        if omit:
            check_names(parts, "omit")
        for name in omit:
            if not any(_within(part, name) for part in parts):
                names = [part.name for part in parts if part.keys]
                raise SettingsError(
                    f"omit: expected parts of the observation ({', '.join(names) or 'it has none'})"
                    f", received {name}{nearest(name, names)}"
                )
        kept = [part for part in parts if not any(_within(part, name) for name in omit)]
        for part in kept:
            if not isinstance(part.space, FLAT):
                which = f", of which {part.name} is none; omit it, or" if part.keys else ";"
                raise SettingsError(f"{_EXPECTED}, received {space}{which} wrap the environment")
        number = sum(flatdim(part.space) for part in kept)
        if not number:
            raise SettingsError(f"{_EXPECTED}, received no number in {space}; wrap the environment")
        if seen is not None and len(seen.low) != number:
            raise SettingsError(
                f"seen: expected {number} numbers on each side, one for each feature, received "
                f"{len(seen.low)}"
            )
        return cls(space, tuple(kept), seen)

    def flat(self, observation: Any) -> np.ndarray:
        """[S] float32: an observation's numbers one after another, less the offset.

        Raises:
          ValueError: it has not the form of the space, or a number is not finite.
        """
        row = self.row(observation)
        if self.offset is not None:
            row = row - self.offset
        flat = row.copy() if row.dtype == np.float32 else as_float32(row)
        if not np.isfinite(flat).all():
            raise ValueError(f"expected an observation of finite numbers, received {observation}")
        return flat

    def row(self, observation: Any) -> np.ndarray:
        """[S] an observation's numbers in the precision they come in; may be a view of them.

        Raises:
          ValueError: it has not the form of the space.
        """
        rows = [self._numbers(observation, *known) for known in self._known]
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    @cached_property
    def _known(self) -> list[tuple[Part, tuple, tuple, bool]]:
        # Looked up once: this is asked for at each step.
        boxes = [isinstance(part.space, spaces.Box) for part in self.parts]
        return [(p, p.keys, p.space.shape, box) for p, box in zip(self.parts, boxes, strict=True)]

    def _numbers(
        self, observation: Any, part: Part, keys: tuple, shape: tuple, box: bool
    ) -> np.ndarray:
        numbers = observation
        try:
            for key in keys:
                numbers = numbers[key]
            found = np.shape(numbers)
        except (IndexError, KeyError, TypeError, ValueError):
            found = "no array"
        if found == shape:
            if box:
                row = np.ravel(numbers)
                if row.dtype.kind in "biuf":  # a text may look like a number
                    return row
                found = f"an array of {row.dtype}"
            elif (numbers := np.asarray(numbers)) in part.space:
                return np.asarray(flatten(part.space, numbers))
            else:
                found = numbers
        raise ValueError(
            f"expected an observation of {self.space}, received {found} as {_where(part)}: "
            f"{observation}"
        )

    @cached_property
    def declared(self) -> Seen:
        """[S] float64 the bounds as the space has them."""
        boxes: list[Any] = [flatten_space(part.space) for part in self.parts]
        ends = [(box.low.astype(np.float64), box.high.astype(np.float64)) for box in boxes]
        return Seen(*map(np.concatenate, zip(*ends, strict=True)))

    @cached_property
    def offset(self) -> np.ndarray | None:
        """[S] float64: the middle of what was met where float32 could not resolve it, else 0.

        None where float32 resolves all of it, and where nothing is known.
        """
        if self.seen is None:
            return None
        low, high = map(as_float32, self.seen)
        # Bounds of float32 do not hinder an environment from giving more.
        finer = (low != self.seen.low) | (high != self.seen.high)
        for part, features in self._features:
            finer[features] |= not np.can_cast(part.space.dtype, np.float32)
        spacing = np.spacing(np.maximum(np.abs(low), np.abs(high)))
        constant = self.seen.low == self.seen.high
        coarse = finer & (spacing > np.where(constant, UNIT, RESOLVED * self._met))
        return np.where(coarse, self.seen.low / 2 + self.seen.high / 2, 0) if coarse.any() else None

    @property
    def low(self) -> np.ndarray:
        """[S] lower bounds of flat observations, infinite where there are none."""
        return self._bounds[0]

    @property
    def high(self) -> np.ndarray:
        """[S] upper bounds."""
        return self._bounds[1]

    @cached_property
    def remarks(self) -> list[str]:
        """Lines about large one-hot parts, bounds that are not used, and offsets."""
        lines = [
            f"{_where(part)} is {part.space} and becomes {flatdim(part.space)} features, one for "
            "each value"
            for part in self.parts
            if isinstance(part.space, spaces.Discrete | spaces.MultiDiscrete)
            and flatdim(part.space) > MANY
        ]
        if self.seen is None:
            return lines
        outside, wide = self._unfit
        ways = {"lies outside of": outside, f"fills less than 1/{WIDEST} of": wide}
        lines += [
            f"{self._met_with(index)} and {way} its bounds, {_range(self.declared, index)}; it is "
            "scaled by running moments"
            for way, features in ways.items()
            for index in np.flatnonzero(features).tolist()
        ]
        offset = np.zeros(0) if self.offset is None else self.offset
        constant = self.seen.low == self.seen.high
        return lines + [
            f"{self._met_with(index)}, which float32 cannot tell "
            f"{'from its neighbours' if constant[index] else 'apart'}; {offset[index]:.17g} is "
            "subtracted"
            for index in np.flatnonzero(offset).tolist()
        ]

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        shift = 0 if self.offset is None else self.offset
        low, high = (as_float32(ends - shift) for ends in self.declared)
        bounded = has_range(low, high) & ~np.any(self._unfit, axis=0)
        return np.where(bounded, low, -np.inf), np.where(bounded, high, np.inf)

    @cached_property
    def _unfit(self) -> tuple[np.ndarray, np.ndarray]:
        """[S] bool each: whether something outside of the bounds was met; whether they are wide."""
        low, high = self.declared
        if self.seen is None:
            return np.zeros(len(low), bool), np.zeros(len(low), bool)
        with np.errstate(over="ignore", invalid="ignore"):
            outside = self.seen.low < low - ROUNDING * np.maximum(np.abs(low), self._met)
            outside |= self.seen.high > high + ROUNDING * np.maximum(np.abs(high), self._met)
            wide = np.isfinite(low) & np.isfinite(high) & (high - low > WIDEST * self._met)
        return outside, wide & ~outside

    @cached_property
    def _met(self) -> np.ndarray:
        """[S] how wide the range is that was met; of a single number its size, or 1."""
        low, high = self.seen or self.declared
        met = np.where(high > low, high - low, np.maximum(np.abs(low), 1))
        for part, features in self._features:
            picture = part.space.dtype == np.uint8 and len(part.space.shape) > 1
            if picture and (widest := high[features].max() - low[features].min()):
                met[features] = widest  # some pixels hardly change, but they are all of a kind
        return met

    @cached_property
    def _features(self) -> list[tuple[Part, slice]]:
        """Which features the parts have."""
        ends = np.cumsum([flatdim(part.space) for part in self.parts]).tolist()
        starts = [0, *ends[:-1]]
        return [(p, slice(*at)) for p, *at in zip(self.parts, starts, ends, strict=True)]

    def _met_with(self, index: int) -> str:
        part, features = next(each for each in self._features if index < each[1].stop)
        place: Any = ()
        if isinstance(part.space, spaces.Box):
            place = np.unravel_index(index - features.start, part.space.shape)
        where = _where(part) + "".join(f"[{number}]" for number in place)
        return f"feature {index}, {where}, was met {_range(self.seen, index)}"


_EXPECTED = (
    "expected the observation space Box, Discrete, MultiDiscrete, MultiBinary, or a nest of Tuple "
    "and Dict of them"
)


def _within(part: Part, name: str) -> bool:
    return part.name == name or part.name.startswith(f"{name}.")


def _where(part: Part) -> str:
    return "observation" + "".join(f"[{key!r}]" for key in part.keys)


def _range(ends: Seen | None, index: int) -> str:
    low, high = (side[index] for side in ends or ())
    return f"from {low:.12g} to {high:.12g}"

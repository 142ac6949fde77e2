"""Components: frozen settings whose floats are data and whose other values are structure.

A compiled program is specialised on structure (integers, strings, booleans, lengths) and takes
every float as an input, so that one compilation serves all seeds and all trials.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, TypeVar, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

# What floats of settings may be: they become float32 and are multiplied with each other, which has
# to stay within 1e-38 and 1e38. Integers become int32.
SMALLEST, LARGEST = 1e-12, 1e12
LARGEST_INTEGER = 2**31 - 1


SIZE = (
    f"a number of size {SMALLEST:g} to {LARGEST:g} (or 0), so that float32 can hold products of it"
)


def _not_too_small(value: float) -> float:
    if 0 < abs(value) < SMALLEST:
        raise PydanticCustomError("float_size", "{expected}", {"expected": SIZE})
    return value


_Sized = AfterValidator(_not_too_small)
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False), _Sized]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False), _Sized]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _Sized]
PositiveShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), _Sized]
Finite = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False), _Sized]
Index = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Count = Annotated[Index, Field(ge=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]

Item = TypeVar("Item")
# YAML has lists only; settings are frozen and therefore hold tuples.
ListOf = Annotated[
    tuple[Item, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]


class Component(BaseModel):
    """Base of all settings: unknown keys, lax conversions and assignment are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Fields that name a component and change nothing of what is compiled for it.
    labels: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown_key",
                    "expected one of {known}",
                    {"key": str(key), "known": ", ".join(cls.model_fields)},
                )
        return value

    @property
    def token(self) -> object:
        """What programs compiled for it follow from besides its settings; None for nothing.

        An object that is equal to itself alone.
        """
        return None

    def __reduce__(self) -> tuple:
        # To another process settings travel as plain values; what was computed from them does not.
        return type(self).model_validate, (self.model_dump(),)


def union_of(members: Mapping[str, type[Component]]) -> Any:
    """The type of any one of these components, told apart by their `kind`."""
    if len(members) == 1:
        return next(iter(members.values()))
    return Annotated[Union[tuple(members.values())], Discriminator("kind")]  # noqa: UP007


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields `(path, leaf)` of nested components, mappings and tuples; paths are dotted."""
    if isinstance(value, BaseModel):
        items = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, tuple):
        items = list(enumerate(value))
    else:
        yield path, value
        return
    for name, member in items:
        yield from leaves(member, f"{path}.{name}" if path else str(name))


def components(value: Any) -> Iterator[BaseModel]:
    """Yields a component and all those within it, in mappings and tuples too."""
    if isinstance(value, BaseModel):
        yield value
        members: Iterable[Any] = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        members = value.values()
    else:
        members = value if isinstance(value, tuple) else ()
    for member in members:
        yield from components(member)


def modules_of(component: Component) -> set[str]:
    """The names of the modules that define a component and those within it."""
    return {type(part).__module__ for part in components(component)}


def floats(component: Component) -> dict[str, float]:
    """The floats of a component by path: the runtime inputs of its program."""
    return {path: leaf for path, leaf in leaves(component) if isinstance(leaf, float)}


def with_floats(component: Any, values: Mapping[str, Any], path: str = "") -> Any:
    """Returns `component` with the floats at the given paths replaced, for example by tensors.

    Nothing is validated: this is how a traced program sees its settings.
    """

    def member(name: Any, value: Any) -> Any:
        return with_floats(value, values, f"{path}.{name}" if path else str(name))

    if isinstance(component, BaseModel):
        fields = type(component).model_fields
        return component.model_copy(update={n: member(n, getattr(component, n)) for n in fields})
    if isinstance(component, Mapping):
        return {name: member(name, value) for name, value in component.items()}
    if isinstance(component, tuple):
        members = (member(index, value) for index, value in enumerate(component))
        return type(component)(*members) if hasattr(component, "_fields") else tuple(members)
    return values.get(path, component) if isinstance(component, float) else component


def nodes(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields `(path, value)` of plain values, of blocks and lists as well as of what they hold."""
    if isinstance(values, Mapping):
        items = list(values.items())
    elif isinstance(values, list | tuple):
        items = list(enumerate(values))
    else:
        return
    for name, value in items:
        place = f"{path}.{name}" if path else str(name)
        yield place, value
        yield from nodes(value, place)


def with_node(values: Any, path: str, value: Any) -> Any:
    """Returns plain values with another one at a path.

    Another `kind` drops what stands beside it, which belongs to the old one.

    Raises:
      LookupError: there is no such path.
    """
    first, _, rest = path.partition(".")
    if isinstance(values, Mapping):
        if not rest and first == "kind" and values[first] != value:
            return {first: value}
        return {**values, first: with_node(values[first], rest, value) if rest else value}
    if isinstance(values, list | tuple) and first.isdecimal():
        members = list(values)
        members[int(first)] = with_node(members[int(first)], rest, value) if rest else value
        return members
    raise LookupError(path)


def structure(component: Component) -> str:
    """Canonical text of all that a compiled program is specialised on: no floats and no labels."""
    shape = {
        path: "float" if isinstance(leaf, float) else leaf
        for path, leaf in leaves(component)
        if path.split(".")[0] not in component.labels
    }
    return json.dumps([type(component).__name__, shape], sort_keys=True)

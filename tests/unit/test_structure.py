"""Settings: floats are data, all else is structure."""

from typing import Literal

import pytest
import tensorflow as tf
from pydantic import Field, ValidationError

from pamdp.structure import (
    Component,
    Sequence,
    components,
    floats,
    leaves,
    structure,
    with_floats,
)


class Part(Component):
    kind: Literal["part"] = "part"
    rate: float = 0.5
    units: int = 3


class Whole(Component):
    gamma: float = 0.9
    clip: float | None = None
    active: bool = True
    hidden: Sequence[int] = (8, 4)
    parts: Sequence[Part] = (Part(), Part(rate=0.25))
    named: dict[str, float] = Field(default_factory=lambda: {"a": 1.0})


def test_leaves() -> None:
    assert dict(leaves(Whole())) == {
        "gamma": 0.9,
        "clip": None,
        "active": True,
        "hidden.0": 8,
        "hidden.1": 4,
        "parts.0.kind": "part",
        "parts.0.rate": 0.5,
        "parts.0.units": 3,
        "parts.1.kind": "part",
        "parts.1.rate": 0.25,
        "parts.1.units": 3,
        "named.a": 1.0,
    }


def test_components_are_found_wherever_they_stand() -> None:
    class Nest(Component):
        first: Part
        second: Part | None
        named: dict[str, Whole]

    whole = Whole(parts=(Part(units=1), Part(units=2)))
    nest = Nest(first=Part(units=7), second=None, named={"a": whole})
    assert list(components(nest)) == [nest, nest.first, whole, *whole.parts]
    assert list(components({"a": (nest.first, 3, "x"), "b": None})) == [nest.first]
    assert list(components(0.5)) == []


def test_floats() -> None:
    expected = {"gamma": 0.9, "parts.0.rate": 0.5, "parts.1.rate": 0.25, "named.a": 1.0}
    assert floats(Whole()) == expected


def test_floats_round_trip() -> None:
    whole = Whole()
    assert with_floats(whole, floats(whole)) == whole
    assert with_floats(whole, {}) == whole


def test_with_floats_replaces_by_path() -> None:
    changed = with_floats(Whole(), {"gamma": 0.1, "parts.1.rate": 0.2, "named.a": 0.3})
    assert floats(changed) == {
        "gamma": 0.1,
        "parts.0.rate": 0.5,
        "parts.1.rate": 0.2,
        "named.a": 0.3,
    }
    assert isinstance(changed, Whole)
    assert isinstance(changed.parts[1], Part)


def test_with_floats_takes_tensors() -> None:
    @tf.function
    def product(values: dict[str, tf.Tensor]) -> tf.Tensor:
        whole = with_floats(Whole(), values)
        return whole.gamma * whole.parts[1].rate

    assert product({"gamma": tf.constant(3.0), "parts.1.rate": tf.constant(2.0)}) == 6.0
    assert product({"gamma": tf.constant(5.0), "parts.1.rate": tf.constant(2.0)}) == 10.0
    assert product.experimental_get_tracing_count() == 1


def test_structure_ignores_floats() -> None:
    other = Whole(gamma=0.1, parts=(Part(rate=7.0), Part()), named={"a": 2.0})
    assert structure(other) == structure(Whole())


@pytest.mark.parametrize(
    "other",
    [
        Whole(clip=1.0),
        Whole(active=False),
        Whole(hidden=(8, 5)),
        Whole(hidden=(8,)),
        Whole(parts=(Part(),)),
        Whole(parts=(Part(units=4), Part())),
        Whole(named={"b": 1.0}),
    ],
)
def test_structure_is_all_the_rest(other: Whole) -> None:
    assert structure(other) != structure(Whole())


def test_an_integer_given_for_a_float_is_data() -> None:
    assert floats(Whole(gamma=1))["gamma"] == 1.0
    assert structure(Whole(gamma=1)) == structure(Whole())


def test_lists_become_tuples() -> None:
    assert Whole.model_validate({"hidden": [1, 2]}).hidden == (1, 2)


@pytest.mark.parametrize(
    "settings", [{"gama": 0.9}, {"gamma": "0.9"}, {"hidden": [1.5]}, {"active": 1}]
)
def test_unknown_keys_and_lax_types_are_refused(settings: dict) -> None:
    with pytest.raises(ValidationError):
        Whole.model_validate(settings)


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Whole().gamma = 0.1

"""Settings: floats are data, all else is structure."""

import pickle
from functools import cached_property
from typing import ClassVar, Literal

import pytest
import tensorflow as tf
from pydantic import Field, TypeAdapter, ValidationError

from pamdp.base.component import (
    Component,
    ListOf,
    Share,
    components,
    floats,
    leaves,
    modules_of,
    structure,
    union_of,
    with_floats,
)
from pamdp.envs.platform import Platform
from pamdp.envs.sparse import Sparse


class Part(Component):
    kind: Literal["part"] = "part"
    rate: float = 0.5
    units: int = 3


class Costly(Component):
    rate: float

    @cached_property
    def computed(self) -> object:
        return object()


class Other(Component):
    kind: Literal["other"]
    units: int = 3


class Whole(Component):
    gamma: float = 0.9
    clip: float | None = None
    active: bool = True
    hidden: ListOf[int] = (8, 4)
    parts: ListOf[Part] = (Part(), Part(rate=0.25))
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


def test_the_modules_of_a_component_are_those_of_all_within() -> None:
    assert modules_of(Whole()) == {__name__}
    held = Sparse(kind="sparse", task=Platform(kind="platform"))
    assert modules_of(held) == {"pamdp.envs.sparse", "pamdp.envs.platform"}


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


def test_labels_are_no_structure() -> None:
    class Named(Whole):
        labels: ClassVar[tuple[str, ...]] = ("name",)
        name: tuple[str, str] = ("a", "b")

    assert structure(Named(name=("c", "d"))) == structure(Named())
    assert structure(Named(active=False)) != structure(Named())
    assert dict(leaves(Named()))["name.1"] == "b"


def test_equal_fields_of_other_classes_are_other_structures() -> None:
    class Another(Part):
        pass

    assert structure(Another()) != structure(Part())


def test_an_integer_given_for_a_float_is_data() -> None:
    assert floats(Whole(gamma=1))["gamma"] == 1.0
    assert structure(Whole(gamma=1)) == structure(Whole())


def test_lists_become_tuples() -> None:
    assert Whole.model_validate({"hidden": [1, 2]}).hidden == (1, 2)


def test_a_share_is_between_nothing_and_all() -> None:
    adapter = TypeAdapter(Share)
    assert [adapter.validate_python(value) for value in (0.0, 0.25, 1.0)] == [0.0, 0.25, 1.0]
    for value in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def test_members_of_a_union_are_told_apart_by_their_kind() -> None:
    adapter = TypeAdapter(union_of({"part": Part, "other": Other}))
    assert adapter.validate_python({"kind": "other", "units": 4}) == Other(kind="other", units=4)
    assert adapter.validate_python({"kind": "part", "rate": 0.1}) == Part(rate=0.1)
    with pytest.raises(ValidationError, match="'part', 'other'"):
        adapter.validate_python({"kind": "another"})
    with pytest.raises(ValidationError, match="rate"):  # another member's field
        adapter.validate_python({"kind": "other", "rate": 0.1})


def test_a_union_of_one_is_that_one() -> None:
    assert union_of({"part": Part}) is Part


def test_to_another_process_settings_travel_as_plain_values() -> None:
    sent = Costly(rate=0.25)
    assert sent.computed is sent.computed
    received = pickle.loads(pickle.dumps(sent))
    assert received == sent
    assert "computed" in vars(sent)
    assert "computed" not in vars(received)


@pytest.mark.parametrize(
    "settings", [{"gama": 0.9}, {"gamma": "0.9"}, {"hidden": [1.5]}, {"active": 1}]
)
def test_unknown_keys_and_lax_types_are_refused(settings: dict) -> None:
    with pytest.raises(ValidationError):
        Whole.model_validate(settings)


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Whole().gamma = 0.1

"""What every gradient strategy keeps to. New ones are picked up from their list."""

import importlib
import inspect
import itertools
import pkgutil
from typing import Any, get_args

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

import pamdp.strategies
from pamdp.base.component import floats, with_floats
from pamdp.base.strategy import Context, Strategy
from pamdp.strategies import STRATEGIES, AnyStrategy, Chain
from pamdp.strategies.members import MEMBERS
from tests.helpers import SPEC, params

B, P = 4, 3
LOW, HIGH = np.float32([-1.0, 0.0, -3.0]), np.float32([1.0, 5.0, 3.0])
KINDS = list(MEMBERS)
SCOPED = [kind for kind, member in MEMBERS.items() if "scope" in member.model_fields]
EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True)

ADAPTER = TypeAdapter(AnyStrategy)


def strategy(value: Any) -> Any:
    return ADAPTER.validate_python(value)


def numbers(size: float, *shape: int) -> st.SearchStrategy[np.ndarray]:
    elements = st.floats(-size, size, width=32, allow_subnormal=False)
    return arrays.arrays(np.float32, shape, elements=elements)


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    """Parameters in, on and outside their bounds."""
    units = draw(numbers(2.0, B, P))
    taken = draw(arrays.arrays(np.float32, (B, P), elements=st.sampled_from([0.0, 1.0])))
    parameters = LOW + (HIGH - LOW) * (units + 1) / 2
    return Context(parameters, LOW, HIGH, draw(numbers(3.0, B)), taken)


ascents = numbers(10.0, B, P)
members = st.sampled_from(KINDS)


def transformed(value: Any, ascent: np.ndarray, context: Context) -> np.ndarray:
    tensors = Context(*map(tf.constant, context))
    return strategy(value).transform(tf.constant(ascent), tensors).numpy()


# -- The list --------------------------------------------------------------------------------------


def test_every_file_is_listed() -> None:
    found = {}
    for info in pkgutil.iter_modules(pamdp.strategies.__path__):
        module = importlib.import_module(f"pamdp.strategies.{info.name}")
        for _, member in inspect.getmembers(module, inspect.isclass):
            if member.__module__ == module.__name__ and issubclass(member, Strategy):
                found[info.name] = member
    assert found == STRATEGIES, "list each strategy in pamdp/strategies/members.py"
    assert {**MEMBERS, "chain": Chain} == STRATEGIES


@pytest.mark.parametrize("kind", list(STRATEGIES))
def test_it_is_listed_under_its_kind_and_written_in_a_file_of_that_name(kind: str) -> None:
    member = STRATEGIES[kind]
    assert get_args(member.model_fields["kind"].annotation) == (kind,)
    assert member.__module__ == f"pamdp.strategies.{kind}"


@pytest.mark.parametrize("kind", list(STRATEGIES))
@pytest.mark.parametrize("word", ["title", "rule", "reference"])
def test_it_says_in_its_own_words_what_it_is(kind: str, word: str) -> None:
    member = STRATEGIES[kind]
    assert word in vars(member)
    assert word not in member.model_fields
    assert isinstance(getattr(member, word), str)
    assert getattr(member, word).strip()


@pytest.mark.parametrize("kind", KINDS)
def test_kind_alone_selects_it(kind: str) -> None:
    assert type(strategy({"kind": kind})) is MEMBERS[kind]


# -- All of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@EXAMPLES
@given(ascent=ascents, context=contexts())
def test_transform(kind: str, ascent: np.ndarray, context: Context) -> None:
    found = transformed({"kind": kind}, ascent, context)
    assert found.shape == (B, P)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    # Nothing comes of nothing.
    np.testing.assert_array_equal(transformed({"kind": kind}, 0 * ascent, context), 0)
    # Samples do not see each other.
    turned = context._replace(
        parameters=context.parameters[::-1],
        td_error=context.td_error[::-1],
        taken=context.taken[::-1],
    )
    np.testing.assert_array_equal(transformed({"kind": kind}, ascent[::-1], turned), found[::-1])


@pytest.mark.parametrize("kind", KINDS)
@EXAMPLES
@given(raw=numbers(4.0, B, P))
def test_unbound_is_the_inverse_of_bound(kind: str, raw: np.ndarray) -> None:
    one = strategy({"kind": kind})
    # Within half the range around the middle, where no rounding gets in the way.
    raw = LOW + (HIGH - LOW) * (raw / 8 + 1) / 2
    there = one.bound(tf.constant(raw), LOW, HIGH)
    np.testing.assert_allclose(one.unbound(there, LOW, HIGH), raw, rtol=1e-4, atol=1e-4)
    back = one.unbound(tf.constant(raw), LOW, HIGH)
    np.testing.assert_allclose(one.bound(back, LOW, HIGH), raw, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_with_floats_as_inputs(kind: str) -> None:
    one = strategy({"kind": kind})
    generator = np.random.default_rng(1)
    ascent = generator.normal(size=(B, P)).astype(np.float32)
    x = generator.uniform(LOW - 1, HIGH + 1, (B, P)).astype(np.float32)
    context = Context(x, LOW, HIGH, np.float32([-2, -0.5, 0, 1]), np.eye(B, P, dtype=np.float32))

    @tf.function(jit_compile=True)
    def program(values: dict[str, tf.Tensor], g: tf.Tensor) -> tf.Tensor:
        return with_floats(one, values).transform(g, Context(*map(tf.constant, context)))

    values = {path: tf.constant(value) for path, value in floats(one).items()}
    np.testing.assert_allclose(
        program(values, ascent), transformed({"kind": kind}, ascent, context), rtol=1e-6
    )


@pytest.mark.parametrize("kind", SCOPED)
@EXAMPLES
@given(ascent=ascents, context=contexts())
def test_scope(kind: str, ascent: np.ndarray, context: Context) -> None:
    own = transformed({"kind": kind, "scope": "taken"}, ascent, context)
    every = transformed({"kind": kind, "scope": "all"}, ascent, context)
    np.testing.assert_array_equal(own, np.where(context.taken > 0, every, ascent))


@EXAMPLES
@given(kinds=st.lists(members, min_size=2, max_size=4), ascent=ascents, context=contexts())
def test_chains_apply_left_to_right(kinds: list[str], ascent: np.ndarray, context: Context) -> None:
    # At most one of them bounds forwards.
    kinds = [k for i, k in enumerate(kinds) if k not in BOUNDING or k not in kinds[:i]]
    kinds = kinds if len(kinds) > 1 else [*kinds, "plain"]
    expected = ascent
    for kind in kinds:
        expected = transformed({"kind": kind}, expected, context)
    found = transformed([{"kind": kind} for kind in kinds], ascent, context)
    np.testing.assert_array_equal(found, expected)


BOUNDING = [kind for kind in KINDS if (one := strategy({"kind": kind})).forward is one]
BACKWARD = [kind for kind in KINDS if kind not in BOUNDING]


@pytest.mark.parametrize("pair", list(itertools.product(BOUNDING, repeat=2)), ids="-".join)
def test_two_forward_bounds_are_refused_by_name(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=f"received {pair[0]} and {pair[1]}"):
        strategy([{"kind": kind} for kind in pair])


def test_some_bound_the_forward_pass_and_some_do_not() -> None:
    assert "squashing" in BOUNDING
    assert {"plain", "inverting", "reversal"} <= set(BACKWARD)


@pytest.mark.parametrize("value", [*({"kind": k} for k in KINDS), *params()["gradients"].values()])
def test_of_sampled_actions_it_is_what_it_is_among_all(value: Any) -> None:
    """Padded blocks of the sampled actions' own parameters, instead of those of all actions."""
    random, rows = np.random.default_rng(1), 40
    action = tf.constant(np.arange(rows) % SPEC.num_actions, tf.int32)
    ascent, x = random.normal(0, 1, (2, rows, SPEC.num_parameters)).astype(np.float32)
    error = random.normal(0, 2, rows).astype(np.float32)
    ends = np.ones(SPEC.num_parameters, np.float32)
    whole = Context(x, -ends, ends, error, np.asarray(SPEC.mask(action)))
    among_all = tf.constant(transformed(value, ascent, whole))

    ends = np.ones(SPEC.max_size, np.float32)
    real = SPEC.real[np.asarray(action)]
    own = (np.asarray(SPEC.take(tf.constant(each), action)) for each in (x, ascent))
    sampled = Context(next(own), -ends, ends, error, real)
    alone = transformed(value, next(own), sampled)
    np.testing.assert_array_equal(alone, SPEC.take(among_all, action))
    # The forward pass, too; what stands in the padding is masked by the policy.
    bounded = strategy(value).bound(tf.constant(x), whole.low, whole.high)
    alone = strategy(value).bound(tf.constant(sampled.parameters), sampled.low, sampled.high)
    np.testing.assert_allclose(alone * real, SPEC.take(bounded, action), rtol=1e-6)


# -- Each one's own promise ------------------------------------------------------------------------


@EXAMPLES
@given(ascent=ascents, context=contexts())
def test_inverting(ascent: np.ndarray, context: Context) -> None:
    found, x = transformed({"kind": "inverting"}, ascent, context), context.parameters
    # It never pushes further out of the bounds, ...
    assert (found[x >= HIGH + 0 * x] <= 0).all()
    assert (found[x <= LOW + 0 * x] >= 0).all()
    # ... and within them it only weakens, but for rounding.
    inside = (x >= LOW) & (x <= HIGH)
    assert (found * ascent >= 0)[inside].all()
    assert (np.abs(found) <= np.abs(ascent) * (1 + 1e-6))[inside].all()


@EXAMPLES
@given(ascent=ascents, context=contexts())
def test_zeroing(ascent: np.ndarray, context: Context) -> None:
    found, x = transformed({"kind": "zeroing"}, ascent, context), context.parameters
    outside = (x <= LOW) | (x >= HIGH)
    assert (found[outside] == 0).all()
    np.testing.assert_array_equal(found[~outside], ascent[~outside])


@EXAMPLES
@given(raw=numbers(1e6, B, P))
def test_squashing(raw: np.ndarray) -> None:
    found = strategy({"kind": "squashing"}).bound(tf.constant(raw), LOW, HIGH).numpy()
    assert ((found >= LOW) & (found <= HIGH)).all()


@EXAMPLES
@given(ascent=ascents, context=contexts())
def test_raw_pseudo_inverse_flips_the_sign_of_negative_parameters(
    ascent: np.ndarray, context: Context
) -> None:
    settings = {"kind": "pseudo_inverse", "basis": "raw", "scope": "all"}
    found = transformed(settings, ascent, context)
    flipped = (context.parameters < 0) & (np.abs(context.parameters * ascent) > 1e-20)
    assert (np.sign(found) == -np.sign(ascent))[flipped].all()


@EXAMPLES
@given(ascent=ascents, context=contexts())
def test_unit_pseudo_inverse_keeps_the_sign_within_the_bounds(
    ascent: np.ndarray, context: Context
) -> None:
    found = transformed({"kind": "pseudo_inverse", "scope": "all"}, ascent, context)
    inside = (context.parameters >= LOW) & (context.parameters <= HIGH)
    assert (found * ascent >= 0)[inside].all()

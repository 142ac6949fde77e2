"""What of a strategy is its forward pass, and what the learner refuses of the backward one."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.base.strategy import Context, Strategy
from pamdp.learning.learner import Learner
from pamdp.strategies.members import MEMBERS
from tests.helpers import experienced, learner, strategy_of

LOW, HIGH = np.float32([-1.0, 0.0, -3.0]), np.float32([1.0, 5.0, 3.0])
KINDS = list(MEMBERS)
BOUNDING = [kind for kind in KINDS if (one := strategy_of({"kind": kind})).forward is one]
BACKWARD = [kind for kind in KINDS if kind not in BOUNDING]

COMBINED = [
    *((kind,) for kind in KINDS),
    *itertools.product(BACKWARD, BOUNDING),
    *itertools.product(BOUNDING, BACKWARD),
    ("reversal", "inverting"),
    ("zeroing", "selective", "pseudo_inverse"),
    ("reversal", "squashing", "inverting"),
]


def combined(kinds: tuple[str, ...]) -> Any:
    """One strategy, or a chain of several."""
    return strategy_of([{"kind": k} for k in kinds] if len(kinds) > 1 else {"kind": kinds[0]})


@pytest.mark.parametrize("kinds", COMBINED, ids="-".join)
def test_forward_has_the_same_forward_pass(kinds: tuple[str, ...]) -> None:
    one = combined(kinds)
    raw = (
        np.random.default_rng(1)
        .uniform(2 * LOW - 1, 2 * HIGH + 1, (50, len(LOW)))
        .astype(np.float32)
    )
    for method in ("bound", "unbound"):
        expected = getattr(one, method)(tf.constant(raw), LOW, HIGH)
        found = getattr(one.forward, method)(tf.constant(raw), LOW, HIGH)
        assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()
        # And nothing but the forward pass makes it another one.
        identity = np.array_equal(expected, raw)
        assert identity == (one.forward == strategy_of({"kind": "plain"}).forward)
    assert one.forward.forward == one.forward


@pytest.mark.parametrize("pair", list(itertools.product(BACKWARD, repeat=2)), ids="-".join)
def test_the_forward_pass_of_a_chain_without_a_bound_is_no_chain(pair: tuple[str, str]) -> None:
    chain = combined(pair)
    assert chain.forward is not chain
    assert type(chain.forward) is Strategy
    assert chain.forward == strategy_of({"kind": "plain"}).forward


@pytest.mark.parametrize("kind", BOUNDING)
def test_the_forward_pass_of_a_chain_is_that_of_its_bounding_member(kind: str) -> None:
    for kinds in ((kind, "inverting"), ("reversal", kind), ("reversal", kind, "zeroing")):
        chain = combined(kinds)
        assert chain.forward is chain.members[kinds.index(kind)]


# -- In the learner --------------------------------------------------------------------------------


class Averaged(Strategy):
    kind: str = "averaged"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        return tf.reduce_mean(ascent, axis=0)  # [P]


class First(Strategy):
    kind: str = "first"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        return ascent[:, :1]  # [B, 1]


class Forgotten(Strategy):
    kind: str = "forgotten"

    def transform(self, ascent: tf.Tensor, context: Context) -> Any:
        return None


class Double(Strategy):
    kind: str = "double"

    def transform(self, ascent: tf.Tensor, context: Context) -> tf.Tensor:
        return tf.cast(ascent, tf.float64)


@pytest.mark.parametrize("wrong", [Averaged(), First(), Forgotten(), Double()], ids=str)
@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
def test_an_ascent_of_another_shape_is_refused_by_name(wrong: Strategy, traced: bool) -> None:
    """Most of them would broadcast, and every parameter would be moved by a mean, unnoticed."""
    agent = learner()
    agent = Learner(agent.settings, replace(agent.policy, strategy=wrong))
    learn = tf.function(agent.learn, autograph=False) if traced else agent.learn
    with pytest.raises(PamdpError, match=rf"strategy '{wrong.kind}': expected transform to return"):
        learn(experienced(agent))

"""Values of many actions in blocks: the same as all at once, and so are their gradients."""

from __future__ import annotations

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base import blocks
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import Action, ActionSpec

NETWORK = Network(hidden=(8, 6), output_std=None, learning_rate=1e-3, tau=0.1)
SIZES = (2, 0, 1, 2, 1, 1, 0)  # parameters of seven actions, which no block size divides


def spec() -> ActionSpec:
    return ActionSpec(
        tuple(Action(f"a{i}", (-1.0,) * size, (1.0,) * size) for i, size in enumerate(SIZES))
    )


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_any_function_of_rows(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    rows = (tf.constant(rng.normal(size=(7, 3, 4))), tf.constant(rng.normal(size=(7, 4))))
    shared = (tf.constant(rng.normal(size=(4,))),)

    def part(rows: tuple, shared: tuple) -> tf.Tensor:
        return tf.reduce_sum(tf.tanh(rows[0] * shared[0]) * rows[1][:, None], axis=-1)

    def both(hidden: int | None) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch((rows, shared))
            values = blocks.of_actions(part, rows, shared, hidden)
            total = tf.reduce_sum(values * tf.range(7, dtype=tf.float64)[:, None])
        return values, tape.gradient(total, (rows, shared))

    monkeypatch.setattr(blocks, "MANY", 1)
    monkeypatch.setattr(blocks, "LARGEST", 10 * size)
    found, expected = both(hidden=10), both(hidden=None)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("kind", ["mpdqn", "spdqn"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_action_values(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    function = ALGORITHMS[kind](kind=kind).q_function(NETWORK, spec())
    weights = function.initial(tf.constant([1, 2]), 5)
    rng = np.random.default_rng(2)
    s = tf.constant(rng.normal(size=(4, 5)), tf.float32)
    x = tf.constant(rng.uniform(-1, 1, size=(4, sum(SIZES))), tf.float32)
    upstream = tf.constant(rng.normal(size=(4, 7)), tf.float32)

    def both() -> tuple:
        with tf.GradientTape() as tape:
            tape.watch((weights, s, x))
            values = function.values(weights, s, x)
        return values, tape.gradient(values, (weights, s, x), upstream)

    expected = both()
    monkeypatch.setattr(blocks, "MANY", 1)
    monkeypatch.setattr(blocks, "LARGEST", 4 * (8 + 6) * size)
    calls: list[int] = []
    swept = blocks._blocked
    monkeypatch.setattr(blocks, "_blocked", lambda *arguments: calls.append(1) or swept(*arguments))
    found = both()
    assert calls  # blocks were used
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

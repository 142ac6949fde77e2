"""Streams of random numbers: what they depend on, and that they stay what they are."""

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pamdp.base import seeding
from pamdp.base.seeding import Stream


def test_stream_is_seed_name_and_step() -> None:
    name = zlib.crc32(b"reset") & 0x7FFFFFFF
    np.testing.assert_array_equal(seeding.stream(5, Stream.RESET, 7), [5 ^ name, 7])
    np.testing.assert_array_equal(seeding.stream(5, Stream.RESET), [5 ^ name, 0])
    assert seeding.stream(5, Stream.RESET).dtype == tf.int32


def test_names_of_streams_stay_what_they_are() -> None:
    # Draws follow from them.
    assert [str(name) for name in Stream] == [
        "q_weights",
        "parameter_weights",
        "act",
        "explore",
        "replay",
        "objective",
        "reset",
        "environment",
        "evaluation",
        "random_policy",
        "candidates",
        "second_q_weights",
        "target_noise",
    ]
    assert len({tuple(seeding.stream(3, name, 5).numpy()) for name in Stream}) == len(Stream)


@cache
def compiled(draw: Callable[..., tf.Tensor], *arguments: Any) -> Callable[[tf.Tensor], np.ndarray]:
    """Draws as programs make them: XLA makes other floats of the bits than eager kernels do."""
    program = tf.function(lambda key: draw(key, *arguments), jit_compile=True, autograph=False)
    return lambda key: program(key).numpy()


def test_same_key_same_draws() -> None:
    normal, key = compiled(seeding.normal, (4,)), seeding.stream(1, Stream.ACT, 2)
    np.testing.assert_array_equal(normal(key), normal(key))


@pytest.mark.parametrize(
    "other",
    [(Stream.ACT, 1, 0), (Stream.ACT, 0, 1), (Stream.EXPLORE, 0, 0)],
    ids=["seed", "step", "name"],
)
def test_streams_are_unrelated(other: tuple[Stream, int, int]) -> None:
    name, seed, step = other
    n = 10_000
    uniform = compiled(seeding.uniform, (n,))
    draws = [uniform(seeding.stream(0, Stream.ACT, 0)), uniform(seeding.stream(seed, name, step))]
    assert abs(np.corrcoef(draws)[0, 1]) < 4 / n**0.5


def test_fold() -> None:
    key = seeding.stream(1, Stream.Q_WEIGHTS, 3)
    once, twice = seeding.fold(key, 2), seeding.fold(seeding.fold(key, 1), 1)
    assert tuple(once.numpy()) != tuple(twice.numpy())
    keys = {tuple(seeding.fold(key, index).numpy()) for index in range(100)}
    assert len(keys) == 100
    assert {step for _, step in keys} == {3}


def test_distributions() -> None:
    key, n = seeding.stream(1, "test"), 100_000
    uniform = compiled(seeding.uniform, (n,))(key)
    normal = compiled(seeding.normal, (n,))(key)
    integers = compiled(seeding.integers, (n,), 5)(key)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean() == pytest.approx(0.5, abs=4 * (1 / 12 / n) ** 0.5)
    assert normal.mean() == pytest.approx(0, abs=4 / n**0.5)
    assert normal.std() == pytest.approx(1, abs=4 / (2 * n) ** 0.5)
    assert set(integers) == set(range(5))
    np.testing.assert_allclose(np.bincount(integers) / n, 0.2, atol=4 * (0.16 / n) ** 0.5)


def test_draws_stay_what_they_are() -> None:
    # Recorded: another generator would change every result of every study.
    key = seeding.stream(7, Stream.ENVIRONMENT, 11)
    np.testing.assert_array_equal(compiled(seeding.integers, (4,), 1000)(key), [191, 768, 827, 90])
    np.testing.assert_allclose(
        compiled(seeding.uniform, (2,))(key), [0.20363605, 0.6699673], rtol=1e-6
    )
    np.testing.assert_allclose(
        compiled(seeding.normal, (2,))(key), [-1.5632002, -0.85979444], rtol=1e-5
    )

"""Compiled functions called from outside of TensorFlow: once traced, and bit for bit."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from pamdp.base import seeding
from pamdp.base.calls import (
    Direct,
    Packer,
    Programs,
    compiled,
    once,
    pack,
    packed_like,
    unpack,
)
from pamdp.base.component import Component
from pamdp.base.lazy import tf

# -- Properties that are computed once -------------------------------------------------------------


def test_a_property_is_computed_once_by_one_thread():
    entered, leave, computed = threading.Event(), threading.Event(), []

    class Subject:
        @once
        def value(self) -> object:
            computed.append(threading.get_ident())
            entered.set()
            leave.wait(10)
            return object()

    subject, found = Subject(), []
    threads = [threading.Thread(target=lambda: found.append(subject.value)) for _ in range(2)]
    threads[0].start()
    entered.wait(10)
    threads[1].start()
    threads[1].join(0.1)  # it has to wait
    assert found == []
    leave.set()
    for thread in threads:
        thread.join()
    assert len(computed) == 1
    assert found[0] is found[1] is subject.value


def test_one_may_need_another():
    class Subject:
        @once
        def first(self) -> int:
            return self.second + 1

        @once
        def second(self) -> int:
            return 1

    assert Subject().first == 2


# -- Programs of a structure -----------------------------------------------------------------------


class Line(Component):
    slope: float
    offset: float = 0.0
    power: int = 1


class Lines(Programs):
    @once
    def at(self) -> Direct:
        return Direct(self._at, self.values, tf.TensorSpec([]))

    def _at(self, values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        self.count("at")
        line = self.bound(values)
        return line.slope * x**line.power + line.offset


class OtherLines(Lines):
    pass


def test_there_is_one_object_for_each_structure_and_class() -> None:
    programs = Lines.of(Line(slope=2.0))
    assert type(programs) is Lines
    assert Lines.of(Line(slope=3.0, offset=1.0)) is programs
    assert Lines.of(Line(slope=2.0, power=2)) is not programs
    other = OtherLines.of(Line(slope=2.0))
    assert type(other) is OtherLines
    assert other is not programs
    assert OtherLines.of(Line(slope=3.0)) is other


def test_floats_are_inputs_and_all_else_is_traced() -> None:
    one, other = Line(slope=2.0, power=3), Line(slope=-1.0, offset=0.5, power=3)
    found = []
    for line in (one, other):
        programs = Lines.of(line)
        found += programs.at(Programs.inputs(line), tf.constant(2.0))
    assert [float(value) for value in found] == [16.0, -7.5]
    assert Lines.of(one).traces == {"at": 1}
    assert Lines.of(one).component == one  # the floats of whichever came first


def test_many_threads_at_once_get_one_object() -> None:
    number, made, together = 16, [], threading.Barrier(16)

    class Slow(Programs):
        def __init__(self, component: Component) -> None:
            made.append(threading.get_ident())
            threading.Event().wait(0.05)  # the others come in the meantime, if anything lets them
            super().__init__(component)

    def find(index: int) -> Slow:
        together.wait(10)
        return Slow.of(Line(slope=float(index)))

    with ThreadPoolExecutor(number) as pool:
        found = [*pool.map(find, range(number))]
    assert len(made) == 1
    assert {id(programs) for programs in found} == {id(found[0])}


# -- Functions called by their name ----------------------------------------------------------------


def test_nests_go_in_and_out_flattened():
    def function(scale, pair):
        return {"sum": pair[0] + pair[1], "product": scale * pair[0]}

    vector = tf.TensorSpec([2], tf.float32)
    direct = Direct(function, tf.TensorSpec([], tf.float32), (vector, vector))
    answers = direct(tf.constant(2.0), tf.constant([1.0, 2.0]), tf.constant([3.0, 5.0]))
    found = tf.nest.pack_sequence_as(direct.like, [answer.numpy().tolist() for answer in answers])
    assert found == {"sum": [4.0, 7.0], "product": [2.0, 4.0]}


def softmax(x: tf.Tensor) -> tf.Tensor:
    return tf.math.softmax(tf.sin(x) @ tf.transpose(x))


def test_it_gives_the_bits_of_the_compiled_function():
    x = tf.constant(np.random.default_rng(1).normal(size=[7, 5]), tf.float32)
    expected = compiled(softmax)(x)
    (found,) = Direct(softmax, tf.TensorSpec([7, 5], tf.float32))(x)
    np.testing.assert_array_equal(found, expected)


def write(row: tf.Tensor, memory: tf.Variable) -> tf.Tensor:
    memory.assign(tf.concat([memory.read_value()[1:], row[None]], axis=0))
    return tf.reduce_sum(memory.read_value())


def test_a_variable_is_written_in_place():
    first, second = tf.Variable(tf.zeros([3])), tf.Variable(tf.zeros([3]))
    direct = Direct(write, tf.TensorSpec([], tf.float32), first)
    for variable in (first, second, second):
        (total,) = direct(tf.constant(1.5), variable.handle)
    assert float(total) == 3.0
    assert first.numpy().tolist() == [0.0, 0.0, 1.5]
    assert second.numpy().tolist() == [0.0, 1.5, 1.5]


def test_what_a_function_captures_is_kept():
    def made(weights):
        return Direct(lambda x: x * weights, tf.TensorSpec([2], tf.float32))

    (found,) = made(tf.constant([2.0, 3.0]))(tf.constant([1.0, 1.0]))
    assert found.numpy().tolist() == [2.0, 3.0]


def test_an_error_in_a_function_is_its_own():
    with pytest.raises(ZeroDivisionError):
        Direct(lambda x: x * (1 // 0), tf.TensorSpec([2], tf.float32))


def test_other_types_and_numbers_of_tensors_are_refused():
    direct = Direct(lambda x: 2 * x, tf.TensorSpec([2]))
    for leaves in ([], [tf.zeros([2])] * 2, [tf.zeros([2], tf.int32)]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            direct(*leaves)


def hide_private_modules(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes TensorFlow look as if they were gone, or had changed; it keeps what it uses itself."""
    from tensorflow.python import eager
    from tensorflow.python.eager import execute

    stand_in = None if what == "module" else ModuleType(execute.__name__)
    monkeypatch.setattr(eager, "execute", stand_in)
    monkeypatch.setitem(sys.modules, execute.__name__, stand_in)
    if stand_in is None:
        monkeypatch.delattr(eager, "execute")


def draws(key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # What is not compiled has other draws and another last bit.
    return seeding.normal(key, (100,)), softmax(seeding.uniform(key, (7, 5)))


@pytest.mark.parametrize("what", ["module", "function"])
def test_without_private_modules_it_does_the_same(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, weights = tf.TensorSpec([2], tf.int32), tf.constant([2.0, 3.0])
    usual = Direct(draws, keys)
    hide_private_modules(what, monkeypatch)
    other = Direct(draws, keys)
    assert other._run.__code__ is not usual._run.__code__
    for one, same in zip(usual(tf.constant([1, 2])), other(tf.constant([1, 2])), strict=True):
        np.testing.assert_array_equal(one, same)
    memory = tf.Variable(tf.zeros([3]))
    writing = Direct(write, tf.TensorSpec([]), memory)
    for expected in (1.5, 3.0):
        (total,) = writing(tf.constant(1.5), memory.handle)
        assert float(total) == expected
    assert memory.numpy().tolist() == [0.0, 1.5, 1.5]
    (found,) = Direct(lambda x: x * weights, tf.TensorSpec([2]))(tf.constant([1.0, 1.0]))
    assert found.numpy().tolist() == [2.0, 3.0]


# -- Nests as one vector ---------------------------------------------------------------------------


class Nest(NamedTuple):
    weights: tuple
    step: tf.Tensor
    over: tf.Tensor
    nothing: tuple = ()


def nest() -> Nest:
    # Integers whose bits are floats that arithmetic would not keep: not a number, denormal, -0.
    steps = np.array([0x7FC00001, 1, -(2**31), -1], np.int64).astype(np.int32)
    special = tf.constant([[np.inf, -0.0, 1e-42], [1.5, -2.0, 0.0]])
    return Nest((special, (tf.constant(3.25),)), tf.constant(steps), tf.constant([True, False]))


THERE = {
    "eager": pack,
    "compiled": lambda nest: compiled(pack)(nest),
}
BACK = {
    "eager": lambda vector: unpack(vector, nest()),
    "compiled": lambda vector: compiled(lambda vector: unpack(vector, nest()))(vector),
}


@pytest.mark.parametrize("back", BACK)
@pytest.mark.parametrize("there", THERE)
def test_what_is_packed_comes_back_bit_for_bit(there: str, back: str) -> None:
    vector = THERE[there](nest())
    assert vector.shape == packed_like(nest()).shape == [6 + 1 + 4 + 2]
    assert vector.dtype == packed_like(nest()).dtype == tf.float32
    assert vector.numpy().tobytes() == pack(nest()).numpy().tobytes()
    restored = BACK[back](vector)
    tf.nest.assert_same_structure(restored, nest())
    for one, other in zip(tf.nest.flatten(restored), tf.nest.flatten(nest()), strict=True):
        one, other = np.asarray(one), other.numpy()
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("leaf", [0, 1])
def test_outside_of_tensorflow_numbers_and_vectors_are_packed_alike(leaf: int) -> None:
    vectors = tf.nest.map_structure(lambda x: tf.reshape(x, [-1]), nest())
    like: Any = (vectors, tf.nest.map_structure(lambda x: x[-1], vectors))[leaf]
    packer, leaves = Packer(like), [leaf.numpy() for leaf in tf.nest.flatten(like)]
    vector = packer.pack(*leaves)
    assert vector.dtype == np.float32
    assert vector.tobytes() == pack(like).numpy().tobytes()
    for one, other in zip(packer.unpack(vector), leaves, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def test_numbers_of_python_are_packed_as_tensors_are() -> None:
    # As an environment answers: nothing of it is a tensor, nor of the wanted size.
    given = (-7, np.int64(2), True, np.bool_(False), 0.1, np.float64(0.1), [0.5, 2.0])
    types = (tf.int32, tf.int32, tf.bool, tf.bool, tf.float32, tf.float32, tf.float32)
    tensors = [tf.constant(value, dtype) for value, dtype in zip(given, types, strict=True)]
    assert Packer(tensors).pack(*given).tobytes() == pack(tensors).numpy().tobytes()


def test_a_matrix_is_not_packed_outside_of_tensorflow() -> None:
    with pytest.raises(ValueError, match=r"expected numbers and vectors, received"):
        Packer(nest())


def test_leaves_are_in_the_order_of_the_nest() -> None:
    vector = pack((tf.constant([1.0, 2.0]), {"b": tf.constant(4.0), "a": tf.constant([[3.0]])}))
    np.testing.assert_array_equal(vector, [1, 2, 3, 4])  # dictionaries by their keys


def test_another_length_is_refused() -> None:
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        unpack(tf.zeros([14]), nest())

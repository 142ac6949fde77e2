"""Compiled functions: traced once for each structure of a component, its floats an input.

Within a long compiled loop a call is nothing; on the host there is one for each step, and its
arguments cost more than its arithmetic. So there a function is called by its name (`Direct`), and
nests of tensors travel as one vector: `pack` and `unpack` within a trace, a `Packer` outside of it.

All of it runs on the CPU, whoever calls it and whatever else the machine has: another device gives
other bits, and these programs are too small for one. What a user's own code does with TensorFlow,
as in an environment, stays where it would be (`on_cpu`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np

from pamdp.base.component import Component, components, floats, structure, with_floats
from pamdp.base.lazy import tf

CPU = "/CPU:0"


@contextmanager
def on_cpu() -> Iterator[None]:
    """Keeps TensorFlow to the CPU, within a `with` or, as a decorator, a function.

    What is compiled here does so by itself. It is for our operations outside of such functions,
    around no code of a user, and around no `yield`.
    """
    with tf.device(CPU):
        yield


class once(cached_property):
    """A property that is computed at its first use, by one thread; others wait.

    `cached_property` has had no lock since Python 3.12, so that all seeds would trace a function.
    """

    _lock = threading.RLock()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The value."""
        with self._lock:
            return super().__get__(instance, owner)


class Programs:
    """The compiled functions of all components of one structure.

    Subclasses add the functions, as properties that are computed `once`.

    Attributes:
      component: one of them; its floats are those of whichever came first.
      traces: how often each function was traced, by name. One each is what is wanted.
    """

    _known: ClassVar[dict[tuple[type, str, tuple], Programs]] = {}
    _lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, component: Component) -> None:
        """Use `of`, which makes one for each structure."""
        self.component: Any = component
        self.traces: dict[str, int] = {}
        self._names = tuple(floats(component))

    @classmethod
    def of(cls, component: Component) -> Self:
        """The functions for a component's structure."""
        parts = [part for part in components(component) if isinstance(part, Component)]
        key = cls, structure(component), tuple(part.token for part in parts)
        with cls._lock:
            if key not in cls._known:
                cls._known[key] = cls(component)
            known: Any = cls._known[key]
        return known

    @staticmethod
    @on_cpu()
    def inputs(component: Component) -> tf.Tensor:
        """[F] float32, the floats of a component: the first argument of each function."""
        return tf.constant([*floats(component).values()], tf.float32)

    @property
    def values(self) -> tf.TensorSpec:
        """Shape and type of what `inputs` gives."""
        return tf.TensorSpec([len(self._names)], tf.float32)

    def bound(self, values: tf.Tensor) -> Any:
        """The component with tensors for floats, for use within a trace."""
        return with_floats(self.component, dict(zip(self._names, tf.unstack(values), strict=True)))

    def count(self, name: str) -> None:
        """Counts a trace of a function; to be called within it."""
        self.traces[name] = self.traces.get(name, 0) + 1


class _Compiled:
    """What `compiled` gives."""

    def __init__(self, function: Callable) -> None:
        self._traced = tf.function(function, jit_compile=True, autograph=False)

    @on_cpu()
    def __call__(self, *arguments: Any) -> Any:
        return self._traced(*arguments)

    @on_cpu()
    def get_concrete_function(self, *arguments: Any) -> Any:
        return self._traced.get_concrete_function(*arguments)


def compiled(function: Callable) -> Any:
    """A function that XLA compiles for the shapes and Python values it is called with."""
    return _Compiled(function)


class Direct:
    """A compiled function that takes and gives plain tensors, to be called from outside of traces.

    TensorFlow binds, casts and compares the arguments of a traced function in Python, at each call
    and for longer than a small program runs. As an operation of the function's name, which is how
    TensorFlow itself calls it in the end, the function is only run.

    Attributes:
      like: shapes and types of what the function gives, in its own structure.
    """

    def __init__(self, function: Callable[..., Any], *inputs: Any) -> None:
        """Traces a function.

        Args:
          function: of as many arguments; it may write to variables among them.
          inputs: nests of `tf.TensorSpec`, tensors and variables, like what it will be given.
        """

        def flat(*leaves: Any) -> Any:
            return function(*tf.nest.pack_sequence_as(inputs, leaves))

        # Kept, because TensorFlow forgets a function that nothing refers to.
        self._traced = compiled(flat).get_concrete_function(*tf.nest.flatten(inputs))
        self.like = self._traced.structured_outputs
        self._captured = [*self._traced.captured_inputs]
        self._run = _runner(self._traced)

    def __call__(self, *leaves: Any) -> list[tf.Tensor]:
        """Runs the function.

        Args:
          leaves: the tensors or arrays of all arguments, flattened; of a variable its handle.

        Returns:
          What it gives, flattened.

        Raises:
          tf.errors.InvalidArgumentError: another number or other types of tensors. Other shapes are
            compiled anew, or are an error of an operation within.
        """
        return self._run([*leaves, *self._captured])


def _runner(traced: Any) -> Callable[[list], list[tf.Tensor]]:
    """What runs a traced function as an operation of its name, given all its tensors or arrays.

    TensorFlow's own way around its checks of arguments is private, and the public operation that
    calls a function hands it to another thread, which costs as much. Without the private way, the
    function is called as TensorFlow means it to be: with the same results, more slowly.
    """
    try:
        from tensorflow.python.eager import context, execute
        from tensorflow.python.framework import constant_op

        eager: Any = context.context()
        eager.ensure_initialized()
        attributes = tuple(chain.from_iterable(eager.function_call_options.as_attrs().items()))
        run, name, number = execute.execute, traced.name, len(traced.outputs)
        convert = constant_op.convert_to_eager_tensor
        # What these read of a context; `tf.device` would set it up at each step.
        here: Any = SimpleNamespace(
            _handle=eager._handle, device_name=CPU, ensure_initialized=eager.ensure_initialized
        )
    except (ImportError, AttributeError):
        given = len(traced.inputs) - len(traced.captured_inputs)
        return on_cpu()(lambda leaves: tf.nest.flatten(traced(*leaves[:given])))

    def called(leaves: list) -> list[tf.Tensor]:
        tensors = [convert(x, here) if isinstance(x, np.ndarray) else x for x in leaves]
        return run(name, number, inputs=tensors, attrs=attributes, ctx=here)

    return called


def pack(nest: Any) -> tf.Tensor:
    """[N] float32 of a nest of float32, int32 and boolean tensors; all but floats by their bits."""
    return tf.concat([tf.reshape(_bits(leaf), [-1]) for leaf in tf.nest.flatten(nest)], axis=0)


def unpack(vector: tf.Tensor, like: Any) -> Any:
    """The nest that was packed; `like` has its structure, shapes and types."""
    leaves = tf.nest.flatten(like)
    parts = tf.split(vector, [math.prod(leaf.shape) for leaf in leaves])
    restored = [_restored(part, leaf) for part, leaf in zip(parts, leaves, strict=True)]
    return tf.nest.pack_sequence_as(like, restored)


def packed_like(nest: Any) -> tf.TensorSpec:
    """Shape and type of what a nest of these shapes is packed to."""
    return tf.TensorSpec([sum(math.prod(leaf.shape) for leaf in tf.nest.flatten(nest))], tf.float32)


class Packer:
    """What `pack` and `unpack` do, outside of TensorFlow and for leaves, flattened.

    Where each of them stands is found out once: this is called at each step.
    """

    def __init__(self, like: Any) -> None:
        """Takes a nest with the structure, shapes and types."""
        self._places: list[tuple[int | slice, bool, type]] = []
        end = 0
        for leaf in tf.nest.flatten(like):
            start, end = end, end + math.prod(leaf.shape)
            if leaf.shape.rank > 1:
                raise ValueError(f"expected numbers and vectors, received {leaf}")
            place = slice(start, end) if leaf.shape.rank else start
            self._places.append((place, leaf.dtype == tf.float32, leaf.dtype.as_numpy_dtype))
        self._size = end

    def pack(self, *leaves: Any) -> np.ndarray:
        """[N] float32 of the leaves, numbers or arrays."""
        floats = np.empty(self._size, np.float32)
        bits = floats.view(np.int32)
        for (place, real, _), leaf in zip(self._places, leaves, strict=True):
            (floats if real else bits)[place] = leaf
        return floats

    def unpack(self, vector: np.ndarray) -> list[Any]:
        """The leaves of a vector [N], as numbers and arrays; those of floats are views of it."""
        bits = vector.view(np.int32)
        return [
            vector[place] if real else bits[place].astype(kind)
            for place, real, kind in self._places
        ]


def _bits(leaf: tf.Tensor) -> tf.Tensor:
    if leaf.dtype == tf.bool:
        leaf = tf.cast(leaf, tf.int32)
    return leaf if leaf.dtype == tf.float32 else tf.bitcast(leaf, tf.float32)


def _restored(part: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    part = tf.reshape(part, like.shape)
    if like.dtype == tf.float32:
        return part
    bits = tf.bitcast(part, tf.int32)
    return bits != 0 if like.dtype == tf.bool else bits

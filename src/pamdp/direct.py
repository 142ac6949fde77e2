"""Compiled functions that are called once for each step on the host.

TensorFlow binds, casts and compares the arguments of a traced function in Python, at each call and
for longer than a small program runs. As an operation of the function's name, which is how
TensorFlow itself calls it in the end, the function is only run.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

from pamdp.lazy import tf


class Direct:
    """A compiled function that takes and gives plain tensors, to be called from outside of traces.

    Attributes:
      like: shapes and types of what the function gives, in its own structure.
    """

    def __init__(self, function: Callable[..., Any], *inputs: Any) -> None:
        """Traces a function.

        Args:
          function: of as many arguments; it may write to variables among them.
          inputs: nests of `tf.TensorSpec`, tensors and variables, like what it will be given.
        """
        # No public way leads around the checks: an operation that calls a function hands it to
        # another thread, which costs as much.
        from tensorflow.python.eager import context, execute

        def flat(*leaves: Any) -> Any:
            return function(*tf.nest.pack_sequence_as(inputs, leaves))

        program = tf.function(flat, jit_compile=True, autograph=False)
        # Kept, because TensorFlow forgets a function that nothing refers to.
        self._traced = program.get_concrete_function(*tf.nest.flatten(inputs))
        self._num_outputs, self.like = len(self._traced.outputs), self._traced.structured_outputs
        self._execute, self._context = execute.execute, context.context()
        options: Any = self._context.function_call_options  # pyright: ignore[reportOptionalMemberAccess]
        self._attributes = tuple(chain.from_iterable(options.as_attrs().items()))

    def __call__(self, *leaves: Any) -> list[tf.Tensor]:
        """Runs the function.

        Args:
          leaves: the tensors of all arguments, flattened; of a variable its handle.

        Returns:
          What it gives, flattened.

        Raises:
          tf.errors.InvalidArgumentError: another number or other types of tensors. Other shapes are
            compiled anew, or are an error of an operation within.
        """
        return self._execute(
            self._traced.name,
            self._num_outputs,
            inputs=[*leaves, *self._traced.captured_inputs],
            attrs=self._attributes,
            ctx=self._context,
        )

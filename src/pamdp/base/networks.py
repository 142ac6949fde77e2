"""Multilayer perceptrons as plain nests of weights."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from pamdp.base import seeding
from pamdp.base.component import Component, Count, ListOf, NonNegative, Positive, PositiveShare
from pamdp.base.lazy import tf


class Network(Component):
    """A network and how it learns.

    Attributes:
      hidden: units of each hidden layer, of which there is at least one.
      activation: name of the hidden layers' activation.
      output_std: standard deviation of the output layer's initial weights; null for
        `U(-1/sqrt(fan_in), 1/sqrt(fan_in))`.
      learning_rate: Adam's step size.
      tau: share by which the target network moves towards this one at each update.
    """

    hidden: Annotated[ListOf[Count], Field(min_length=1, max_length=32)]
    activation: Literal["relu", "leaky_relu", "tanh", "elu", "gelu"] = "relu"
    output_std: NonNegative | None
    learning_rate: Positive
    tau: PositiveShare

    def activate(self, x: tf.Tensor) -> tf.Tensor:
        """The hidden layers' activation."""
        return getattr(tf.nn, self.activation)(x)

    def initial(self, key: tf.Tensor, inputs: int, outputs: int) -> tuple:
        """Initial weights: Kaiming-normal hidden layers (He et al. 2015), zero biases.

        Returns:
          A (kernel, bias [O]) pair for each layer. Kernels are [I, O], the output layer's [O, I]:
          with the small dimension first, both matrix products of its gradient are several times
          faster on a CPU.
        """
        layers = []
        for index, (fan_in, fan_out) in enumerate(pairwise([inputs, *self.hidden])):
            kernel = self.hidden_kernel(seeding.fold(key, index), [fan_in, fan_out], fan_in)
            layers.append((kernel, tf.zeros([fan_out])))
        last = self.output_kernel(seeding.fold(key, len(self.hidden)), [outputs, self.hidden[-1]])
        return (*layers, (last, tf.zeros([outputs])))

    def hidden_kernel(self, key: tf.Tensor, shape: list[int], fan_in: int) -> tf.Tensor:
        """Initial weights of a hidden layer."""
        return seeding.normal(key, shape) * (2.0 / fan_in) ** 0.5

    def output_kernel(self, key: tf.Tensor, shape: list[int]) -> tf.Tensor:
        """Initial weights [..., I] of the output layer."""
        if self.output_std is None:
            return (2 * seeding.uniform(key, shape) - 1) * shape[-1] ** -0.5
        return seeding.normal(key, shape) * self.output_std

    def apply(self, layers: tuple, x: tf.Tensor) -> tf.Tensor:
        """Forward pass: [..., I] to [..., O]."""
        for kernel, bias in layers[:-1]:
            x = self.activate(x @ kernel + bias)
        kernel, bias = layers[-1]
        return tf.matmul(x, kernel, transpose_b=True) + bias

    def hidden_from(self, first: tf.Tensor, middle: Sequence[tuple]) -> tf.Tensor:
        """What the hidden layers give.

        Args:
          first: [..., H] what the first one adds up, before its activation.
          middle: the other hidden layers.

        Returns:
          [..., H'] of the last one.
        """
        x = self.activate(first)
        for kernel, bias in middle:
            x = self.activate(times(x, kernel) + bias)
        return x


def times(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """[..., I] times [I, O], as one product of matrices: [..., O]."""
    rows = tf.reshape(x, [-1, x.shape[-1]])
    # A batch axis may be unknown while a model is exported.
    leading = [-1 if size is None else size for size in x.shape[:-1]]
    return tf.reshape(rows @ kernel, [*leading, kernel.shape[-1]])

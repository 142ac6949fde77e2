"""Perceptrons of one hidden layer and their gradients, in NumPy and double precision."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Perceptron(NamedTuple):
    """`relu(z W + b) V^T + c`, with weights as `Network.initial` makes them."""

    kernel: np.ndarray
    bias: np.ndarray
    last: np.ndarray
    last_bias: np.ndarray

    @classmethod
    def of(cls, weights: Any) -> Perceptron:
        (kernel, bias), (last, last_bias) = weights
        return cls(*(np.asarray(leaf, np.float64) for leaf in (kernel, bias, last, last_bias)))

    def hidden(self, z: np.ndarray) -> np.ndarray:
        return np.maximum(z @ self.kernel + self.bias, 0)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """[B, I] to [B, O]."""
        return self.hidden(z) @ self.last.T + self.last_bias

    def by_input(self, z: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """[B, I] gradient by the inputs, of the sum of outputs times `slope` [B, O]."""
        return (slope @ self.last * (self.hidden(z) > 0)) @ self.kernel.T

    def by_weights(self, z: np.ndarray, slope: np.ndarray) -> list[np.ndarray]:
        """The gradient by the weights, of the same."""
        inner = slope @ self.last * (self.hidden(z) > 0)
        return [z.T @ inner, inner.sum(0), slope.T @ self.hidden(z), slope.sum(0)]


def joined(*parts: Any) -> np.ndarray:
    """[B, ...] side by side."""
    return np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)


def inverted(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Inverting gradients with bounds [-1, 1] (Hausknecht & Stone 2016)."""
    return np.where(g > 0, g * (1 - x) / 2, g * (x + 1) / 2)

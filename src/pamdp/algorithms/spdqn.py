"""SP-DQN (Bester, James, Konidaris 2019, arXiv 1905.04388)."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from pamdp.base import seeding
from pamdp.base.algorithm import PICKED, QFunction
from pamdp.base.blocks import of_actions
from pamdp.base.heads import Headed
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import ActionSpec


class SPDQN(Headed):
    """P-DQN with a Q-network of its own for each action."""

    title: ClassVar[str] = "SP-DQN"
    rule: ClassVar[str] = (
        "K Q-networks: network k sees the state and the parameters of action k alone."
    )
    reference: ClassVar[str] = "Bester, James, Konidaris 2019, arXiv 1905.04388"
    own: ClassVar[bool] = True

    kind: Literal["spdqn"]

    def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
        """The Q-function with this network in this action space."""
        return self.valuing(Separate(network, spec))


class Separate(QFunction):
    """K separate Q-networks: network k sees the state and the parameters of action k alone.

    The networks are kept as stacks [K, ...] and computed side by side; the first layer's weights
    of the parameters are [P, H], each row its owner's.
    """

    @property
    def networks(self) -> int:
        """K."""
        return self.spec.num_actions

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Initial weights, each network's as if it were alone."""
        network, num_actions = self.network, self.spec.num_actions
        width = network.hidden[0]
        keys = [seeding.fold(key, index) for index in range(len(network.hidden) + 2)]
        # fan_in differs between the networks, so it is put in afterwards.
        spread = (features + np.asarray(self.spec.sizes, np.float32)) ** -0.5
        of_s = network.hidden_kernel(keys[0], [num_actions, features, width], 1)
        of_x = network.hidden_kernel(keys[1], [self.spec.num_parameters, width], 1)
        of_s *= spread[:, None, None]
        of_x *= np.repeat(spread, self.spec.sizes)[:, None]
        layers: list[tuple] = [(of_s, of_x, tf.zeros([num_actions, 1, width]))]
        for layer_key, (fan_in, fan_out) in zip(keys[2:], pairwise(network.hidden), strict=False):
            kernel = network.hidden_kernel(layer_key, [num_actions, fan_in, fan_out], fan_in)
            layers.append((kernel, tf.zeros([num_actions, 1, fan_out])))
        last = network.output_kernel(keys[-1], [num_actions, network.hidden[-1]])
        return (*layers, (last, tf.zeros([num_actions])))

    @property
    def in_blocks(self) -> bool:
        """Of actions."""
        return True

    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K], entry k of network k."""
        (of_s, of_x, bias), *middle, (last_kernel, last_bias) = weights

        def part(rows: tuple, shared: tuple) -> tf.Tensor:
            (parameters, kernels), (kernel, bias), *middle, last = rows
            hidden = self.network.activate(shared[0] @ kernel + parameters @ kernels + bias)
            for layer_kernel, layer_bias in middle:  # [k, B, H]
                hidden = self.network.activate(hidden @ layer_kernel + layer_bias)
            return tf.linalg.matvec(hidden, last)

        rows = (self.own_blocks(x, of_x), (of_s, bias), *middle, last_kernel)
        return tf.transpose(of_actions(part, rows, (s,), self.hidden(s))) + last_bias

    def taken(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """[B], of all networks or of those that are wanted."""
        if self.spec.num_actions > PICKED:
            return self.gathered(weights, s, x, action)
        return super().taken(weights, s, x, action)

    def chosen(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """[B, M], of the networks of these actions."""
        (of_s, of_x, bias), *middle, (last_kernel, last_bias) = weights
        hidden = tf.reduce_sum(s[:, None, :, None] * tf.gather(of_s, actions), axis=2)
        hidden += tf.reduce_sum(x[..., None] * self.spec.rows(of_x, actions), axis=2)
        hidden = self.network.activate(hidden + tf.gather(bias[:, 0], actions))
        for kernel, layer_bias in middle:
            hidden = tf.reduce_sum(hidden[..., None] * tf.gather(kernel, actions), axis=2)
            hidden = self.network.activate(hidden + tf.gather(layer_bias[:, 0], actions))
        values = tf.reduce_sum(hidden * tf.gather(last_kernel, actions), axis=-1)
        return values + tf.gather(last_bias, actions)

"""MP-DQN (Bester, James, Konidaris 2019, arXiv 1905.04388)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pamdp.base.algorithm import PICKED, QFunction, pick
from pamdp.base.blocks import of_actions
from pamdp.base.heads import Headed
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.spaces import ActionSpec


class MPDQN(Headed):
    """P-DQN whose action values see the parameters of their own action alone."""

    title: ClassVar[str] = "MP-DQN"
    rule: ClassVar[str] = (
        "K passes: pass k sees the parameters of action k alone, and gives its value."
    )
    reference: ClassVar[str] = "Bester, James, Konidaris 2019, arXiv 1905.04388"
    own: ClassVar[bool] = True

    kind: Literal["mpdqn"]

    def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
        """The Q-function with this network in this action space."""
        return self.valuing(MultiPass(network, spec))


class MultiPass(QFunction):
    """K passes: pass k sees only the parameters of action k, and gives its entry k.

    The passes differ in the first layer only by the block of action k, and of the last layer
    only column k is wanted. So the shared part is computed once and no [K B, S + P] batch exists.
    """

    @property
    def passes(self) -> int:
        """K."""
        return self.spec.num_actions

    @property
    def in_blocks(self) -> bool:
        """Of actions."""
        return True

    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K], the diagonal of the K passes."""
        (kernel, bias), *middle, (last_kernel, last_bias) = weights
        features = s.shape[-1]

        def part(rows: tuple, shared: tuple) -> tf.Tensor:
            (parameters, kernels, last), (base, middle) = rows, shared
            hidden = self.network.activate(base + parameters @ kernels)  # [k, B, H]
            for layer_kernel, layer_bias in middle:
                hidden = self.network.activate(hidden @ layer_kernel + layer_bias)
            return tf.linalg.matvec(hidden, last)

        rows = (*self.own_blocks(x, kernel[features:]), last_kernel)
        shared = (s @ kernel[:features] + bias, tuple(middle))
        return tf.transpose(of_actions(part, rows, shared, self.hidden(s))) + last_bias

    def taken(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """[B]: the one pass that is wanted, the other actions' parameters set to zero."""
        if self.spec.num_actions > PICKED:
            return self.gathered(weights, s, x, action)
        own = x * self.spec.mask(action)
        return pick(self.network.apply(weights, tf.concat([s, own], axis=-1)), action)

    def chosen(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """[B, M]: the passes that are wanted, each with its own rows of the outer layers."""
        (kernel, bias), *middle, (last_kernel, last_bias) = weights
        features = s.shape[-1]
        own = tf.reduce_sum(x[..., None] * self.spec.rows(kernel, actions, features), axis=2)
        # Gathered as well, so that the gradient of the whole kernel is one of rows.
        shared = s @ tf.gather(kernel, tf.range(features)) + bias
        hidden = self.network.hidden_from(shared[:, None] + own, middle)  # [B, M, H]
        values = tf.reduce_sum(hidden * tf.gather(last_kernel, actions), axis=-1)
        return values + tf.gather(last_bias, actions)

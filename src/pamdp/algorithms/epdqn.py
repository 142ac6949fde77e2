"""EP-DQN: one network for all actions, which is given the action as an embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pamdp.base import seeding
from pamdp.base.algorithm import Algorithm, ParameterNetwork, QFunction
from pamdp.base.component import Count
from pamdp.base.errors import SettingsError
from pamdp.base.lazy import tf
from pamdp.base.networks import Network, times
from pamdp.base.sizes import Sizes
from pamdp.base.spaces import ActionSpec


class EPDQN(Algorithm):
    """P-DQN with one network for all actions: `Q(s, e_k, x_k)` and `x_k(s, e_k)`.

    So what is learned of one action serves others that are like it.

    Attributes:
      embedding: `learned` with the Q-network, or `features`: those that the environment gives.
      size: of a learned embedding e_k.
    """

    title: ClassVar[str] = "EP-DQN"
    rule: ClassVar[str] = (
        "One network for all actions: it sees the state, an embedding of action k and the "
        "parameters of action k."
    )
    reference: ClassVar[str] = "of this project; the action as an input: arXiv 2001.08116"
    own: ClassVar[bool] = True

    kind: Literal["epdqn"]
    embedding: Literal["learned", "features"] = "learned"
    size: Count = 8

    def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
        """The Q-function with this network in this action space."""
        return Embedded(network, spec, self._embedding(spec))

    def parameter_network(self, network: Network, spec: ActionSpec) -> ParameterNetwork:
        """The parameter network, with the Q-network's embedding."""
        return EmbeddedParameters(network, spec, self._embedding(spec))

    def _embedding(self, spec: ActionSpec) -> Embedding:
        if self.embedding == "learned":
            return Embedding(spec, self.size, learned=True)
        if not spec.features.size:
            raise SettingsError(
                "algorithm.embedding: expected an environment that gives `features` of its "
                "actions, received one that gives none; set it to `learned`"
            )
        return Embedding(spec, spec.features.shape[-1], learned=False)


@dataclass(frozen=True)
class Embedding:
    """What stands for the actions: numbers e_k of each.

    Attributes:
      spec: the action space.
      size: d, how many numbers.
      learned: whether they are weights of the Q-network; else the features of the actions.
    """

    spec: ActionSpec
    size: int
    learned: bool

    def initial(self, key: tf.Tensor) -> Any:
        """[K, d] weights, or none: two actions are about as far apart whatever the size is."""
        if not self.learned:
            return ()
        return seeding.normal(key, [self.spec.num_actions, self.size]) * 2 * self.size**-0.5

    def of(self, q_weights: tuple) -> tf.Tensor:
        """[K, d] of all actions."""
        return q_weights[0] if self.learned else tf.constant(self.spec.features)


@dataclass(frozen=True)
class Embedded(QFunction):
    """`f(W_s s + W_e e_k + W_x x_k + b)`, the same f for all actions.

    Its weights are those of the embedding, and the layers.

    Attributes:
      embedding: of the actions.
    """

    embedding: Embedding

    @property
    def passes(self) -> int:
        """K."""
        return self.spec.num_actions

    def sizes(self, features: int) -> Sizes:
        """Of one network, and the embedding."""
        of_action = self.embedding.size + self.spec.max_size
        table = self.embedding.learned * self.embedding.size * self.spec.num_actions
        return Sizes(features + of_action, 1, (of_action, 1), table)

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Initial weights: the embedding [K, d], if it is learned, and the layers."""
        inputs = features + self.embedding.size + self.spec.max_size
        learned = self.embedding.initial(seeding.fold(key, -1))
        return learned, self.network.initial(key, inputs, 1)

    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K], of one network."""
        return self._of(weights, s, self.embedding.of(weights)[None], self.spec.pad(x))

    def chosen(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """[B, M], of one network."""
        return self._of(weights, s, tf.gather(self.embedding.of(weights), actions), x)

    def _of(self, weights: tuple, s: tf.Tensor, e: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, M] of embeddings [B or 1, M, d] and parameters [B, M, m]."""
        (kernel, bias), *middle, (last_kernel, last_bias) = weights[1]
        of_s, of_e, of_x = tf.split(kernel, [s.shape[-1], e.shape[-1], x.shape[-1]])
        first = (s @ of_s + bias)[:, None] + times(e, of_e) + times(x, of_x)
        hidden = self.network.hidden_from(first, middle)
        return times(hidden, tf.transpose(last_kernel))[..., 0] + last_bias


@dataclass(frozen=True)
class EmbeddedParameters(ParameterNetwork):
    """`g(V_s s + V_e e_k + c)`, the same g for all actions; e_k as the Q-network has learned it.

    Attributes:
      embedding: of the actions.
    """

    embedding: Embedding

    @property
    def passes(self) -> int:
        """K."""
        return self.spec.num_actions

    def sizes(self, features: int) -> Sizes:
        """Of one network."""
        size, outputs = self.embedding.size, self.spec.max_size
        return Sizes(features + size, outputs, (size, outputs))

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Initial weights, for S features."""
        return self.network.initial(key, features + self.embedding.size, self.spec.max_size)

    def all(self, weights: tuple, q_weights: tuple, s: tf.Tensor) -> tf.Tensor:
        """[B, P]."""
        return self.spec.unpad(self._of(weights, s, self.embedding.of(q_weights)[None]))

    def chosen(
        self, weights: tuple, q_weights: tuple, s: tf.Tensor, actions: tf.Tensor
    ) -> tf.Tensor:
        """[B, M, m]."""
        return self._of(weights, s, tf.gather(self.embedding.of(q_weights), actions))

    def _of(self, weights: tuple, s: tf.Tensor, e: tf.Tensor) -> tf.Tensor:
        """[B, M, m] of embeddings [B or 1, M, d]."""
        (kernel, bias), *middle, (last_kernel, last_bias) = weights
        of_s, of_e = tf.split(kernel, [s.shape[-1], e.shape[-1]])
        first = (s @ of_s + bias)[:, None] + times(e, of_e)
        return times(self.network.hidden_from(first, middle), tf.transpose(last_kernel)) + last_bias

"""Several parameter policies: heads of the parameter network, of which the best is taken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pydantic import Field

from pamdp.base import seeding
from pamdp.base.algorithm import Algorithm, ParameterNetwork, QFunction
from pamdp.base.choices import Choices
from pamdp.base.component import Count
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.sizes import Sizes
from pamdp.base.spaces import Action, ActionSpec


class Headed(Algorithm):
    """Base of algorithms whose parameter network may have several heads.

    M heads propose M sets of parameters, `x^1(s)` to `x^M(s)`. The same Q-function values each, and
    the greedy decision is `argmax_{k, m} Q(s, x^m)_k`. To the learner these are M K choices, choice
    `m K + k` with the parameters of action k that head m proposes. So all else is as with one head:
    a target is the best choice's, an objective that sums over actions sums over heads too, and what
    it does to the sampled choice alone it does to that head alone, as do strategies.

    Attributes:
      heads: M.
    """

    heads: Annotated[Count, Field(le=100)] = 1

    def choices(self, spec: ActionSpec) -> Choices:
        """An action and a head, if there are several and anything to propose."""
        several = self.heads > 1 and spec.num_parameters
        return Pairs(spec, self.heads) if several else Choices(spec)

    def parameter_network(self, network: Network, spec: ActionSpec) -> ParameterNetwork:
        """The parameter network with its heads."""
        choices = self.choices(spec)
        if not isinstance(choices, Pairs):
            return ParameterNetwork(network, spec)
        return Heads(network, choices.spec, spec.num_parameters)

    def valuing(self, q_function: QFunction) -> QFunction:
        """A Q-function of one set of parameters as that of all heads' sets."""
        choices = self.choices(q_function.spec)
        if not isinstance(choices, Pairs):
            return q_function
        return ForEachHead(q_function.network, choices.spec, q_function, self.heads)


@dataclass(frozen=True)
class Pairs(Choices):
    """An action and a head each.

    Attributes:
      heads: M.
    """

    heads: int

    @cached_property
    def spec(self) -> ActionSpec:
        """The actions once for each head, head by head."""
        return ActionSpec(
            tuple(
                Action(f"{action.name} of head {head + 1}", action.low, action.high)
                for head in range(self.heads)
                for action in self.actions.actions
            )
        )

    def executed(self, choice: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The action, and all parameters of the head."""
        head, action = choice // self.actions.num_actions, choice % self.actions.num_actions
        return action, tf.gather(self._apart(x), head, batch_dims=1)

    def values(self, q: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K], each action's best."""
        return tf.reduce_max(self.sets(q, x)[0], axis=1)

    def sets(self, q: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Each head's."""
        return tf.reshape(q, [-1, self.heads, self.actions.num_actions]), self._apart(x)

    def starting_at(self, parameters: tf.Tensor) -> tf.Tensor:
        """[B, M P], the same for all heads."""
        return tf.tile(parameters, [1, self.heads])

    def _apart(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, [-1, self.heads, self.actions.num_parameters])


@dataclass(frozen=True)
class Heads(ParameterNetwork):
    """A perceptron with the parameters of all heads as its outputs.

    Attributes:
      num_parameters: P, of each head.
    """

    num_parameters: int

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Initial weights; heads but the first have biases of `U(-1, 1)`, to start apart.

        Output weights may be so small that heads without biases would start, and stay, the same.
        """
        *hidden, (kernel, bias) = super().initial(key, features)
        size = bias.shape[0]
        others = tf.cast(tf.range(size) >= self.num_parameters, tf.float32)
        drawn = 2 * seeding.uniform(seeding.fold(key, -1), [size]) - 1
        return (*hidden, (kernel, bias + others * drawn))


@dataclass(frozen=True)
class ForEachHead(QFunction):
    """The same Q-function for each head's parameters: rows of one batch.

    Attributes:
      one: the Q-function of one set of parameters.
      heads: M.
    """

    one: QFunction
    heads: int

    @property
    def networks(self) -> int:
        """Those of one."""
        return self.one.networks

    @property
    def passes(self) -> int:
        """M times those of one."""
        return self.heads * self.one.passes

    @property
    def in_blocks(self) -> bool:
        """As one does."""
        return self.one.in_blocks

    def sizes(self, features: int) -> Sizes:
        """Those of one, of which each head computes all with."""
        sizes, passes = self.one.sizes(features), self.one.passes
        return sizes._replace(of_action=(sizes.inputs // passes, sizes.outputs // passes))

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Those of one."""
        return self.one.initial(key, features)

    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, M K], head by head."""
        rows = tf.reshape(x, [-1, self.one.spec.num_parameters])
        q = self.one.values(weights, tf.repeat(s, self.heads, axis=0), rows)
        return tf.reshape(q, [-1, self.spec.num_actions])

    def chosen(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """[B, C], whatever the head: the parameters are given."""
        return self.one.chosen(weights, s, x, actions % self.one.spec.num_actions)

    def taken(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """[B], with the parameters of the choice's head."""
        head, action = action // self.one.spec.num_actions, action % self.one.spec.num_actions
        sets = tf.reshape(x, [-1, self.heads, self.one.spec.num_parameters])
        return self.one.taken(weights, s, tf.gather(sets, head, batch_dims=1), action)

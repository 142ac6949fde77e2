"""What an algorithm is: a Q-function, and a parameter network.

The algorithms differ in how the Q-function sees the parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from pamdp.base.choices import Choices
from pamdp.base.component import Component
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.sizes import Sizes
from pamdp.base.spaces import ActionSpec

# Actions, up to which the values of those taken are picked from products of all: docs/decisions.md.
PICKED = 16


class Algorithm(Component, ABC):
    """Base of all algorithms: settings from which a Q-function is made.

    Attributes:
      kind: names the file and selects the algorithm in params.yaml.
      title: its name for readers.
      rule: how the Q-function sees the parameters.
      reference: where it comes from.
      own: whether the value of an action depends on its own parameters alone. Then some actions
        can be valued without the others (`QFunction.chosen`), which `learner.candidates` takes.
    """

    kind: str
    title: ClassVar[str]
    rule: ClassVar[str]
    reference: ClassVar[str]
    own: ClassVar[bool] = False

    @abstractmethod
    def q_function(self, network: Network, spec: ActionSpec) -> QFunction:
        """The Q-function with this network in this action space."""

    def parameter_network(self, network: Network, spec: ActionSpec) -> ParameterNetwork:
        """The parameter network: by default one perceptron, with an output for each parameter."""
        return ParameterNetwork(network, self.choices(spec).spec)

    def choices(self, spec: ActionSpec) -> Choices:
        """What it chooses between: by default the environment's actions.

        The functions are of these: `spec` of both networks is that of the choices.
        """
        return Choices(spec)


@dataclass(frozen=True)
class ParameterNetwork:
    """x(s), before its bounds: a perceptron from [s] to the parameters of all actions.

    The functions of one that shares weights with the Q-network, which are held fixed there, are
    given them.

    Attributes:
      network: its settings.
      spec: the action space.
    """

    network: Network
    spec: ActionSpec

    @property
    def passes(self) -> int:
        """How often hidden layers are computed for all parameters; for estimates."""
        return 1

    def sizes(self, features: int) -> Sizes:
        """How large it is, for S features; for estimates."""
        return Sizes(features, self.spec.num_parameters)

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Initial weights, for S features."""
        return self.network.initial(key, features, self.spec.num_parameters)

    def all(self, weights: tuple, q_weights: tuple, s: tf.Tensor) -> tf.Tensor:
        """The parameters of all actions.

        Args:
          weights: nest of tensors, as `initial` makes it.
          q_weights: of the Q-network.
          s: [B, S] scaled observations.

        Returns:
          [B, P].
        """
        del q_weights
        return self.network.apply(weights, s)

    def chosen(
        self, weights: tuple, q_weights: tuple, s: tf.Tensor, actions: tf.Tensor
    ) -> tf.Tensor:
        """The parameters of some actions; the other arguments are those of `all`.

        Args:
          weights: its own.
          q_weights: of the Q-network.
          s: [B, S].
          actions: [B, M] int32.

        Returns:
          [B, M, m] padded blocks; what stands in the padding is anything.
        """
        del q_weights
        (kernel, bias), *middle, (last_kernel, last_bias) = weights
        hidden = self.network.hidden_from(s @ kernel + bias, middle)
        rows = self.spec.rows(last_kernel, actions)  # [B, M, m, H]
        products = tf.reduce_sum(hidden[:, None, None] * rows, axis=-1)
        return products + self.spec.rows(last_bias, actions)


@dataclass(frozen=True)
class QFunction(ABC):
    """Base of the algorithms' Q-functions: pure functions of the weights.

    Attributes:
      network: the settings of the Q-network.
      spec: the action space.
    """

    network: Network
    spec: ActionSpec

    def sizes(self, features: int) -> Sizes:
        """How large the networks are, for S features; for estimates."""
        inputs = self.networks * features + self.spec.num_parameters
        return Sizes(inputs, self.spec.num_actions)

    def initial(self, key: tf.Tensor, features: int) -> tuple:
        """Initial weights: a perceptron from [s, x] (S + P inputs) to K action values."""
        inputs = features + self.spec.num_parameters
        return self.network.initial(key, inputs, self.spec.num_actions)

    @property
    def networks(self) -> int:
        """How many networks there are. Estimates of memory and time go by it, no result."""
        return 1

    @property
    def passes(self) -> int:
        """How often hidden layers are computed for all action values; for estimates, too."""
        return self.networks

    @property
    def in_blocks(self) -> bool:
        """Whether `values` keeps a block of hidden values at a time; for estimates, too."""
        return False

    @abstractmethod
    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """All action values.

        Args:
          weights: nest of tensors, as `initial` makes it.
          s: [B, S] scaled observations.
          x: [B, P] scaled parameters.

        Returns:
          [B, K].
        """

    def chosen(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, actions: tf.Tensor) -> tf.Tensor:
        """The values of some actions, of an algorithm whose values see their `own` parameters.

        Args:
          weights: as above.
          s: [B, S] scaled observations.
          x: [B, M, m] scaled parameters of these actions, padded with zeros.
          actions: [B, M] int32.

        Returns:
          [B, M].
        """
        raise NotImplementedError(f"{type(self).__name__} values no chosen actions")

    def own_blocks(self, x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[B, P] parameters and their weights [P, H] by action: [K, B, m] and [K, m, H]."""
        blocks = tf.transpose(self.spec.pad(tf.transpose(kernel)), [1, 2, 0])
        return tf.transpose(self.spec.pad(x), [1, 0, 2]), blocks

    def hidden(self, s: tf.Tensor) -> int | None:
        """How many hidden values there are of one action, for [B, S]; None if B is unknown."""
        rows = s.shape[0]
        return None if rows is None else rows * sum(self.network.hidden)

    def taken(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """[B] values of one action [B] in each row: `values`, picked."""
        return pick(self.values(weights, s, x), action)

    def gathered(self, weights: tuple, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """The same of an algorithm that has `chosen`: of many actions, only what is wanted."""
        own = self.spec.take(x, action)[:, None]
        return self.chosen(weights, s, own, action[:, None])[:, 0]


class Joint(QFunction):
    """One pass: every action value sees the parameters of all actions.

    So `dQ_k/dx_j` is not zero for the parameters of another action j: what MP-DQN mends.
    """

    def values(self, weights: tuple, s: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K] of one pass over [s, x]."""
        return self.network.apply(weights, tf.concat([s, x], axis=-1))


def pick(values: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    """[B, K] values and [B] actions to [B] values."""
    # A masked sum: its gradient is a product, that of a gather would be a scatter.
    return tf.reduce_sum(values * tf.one_hot(action, values.shape[-1]), axis=-1)

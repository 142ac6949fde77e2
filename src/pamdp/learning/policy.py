"""From observations to actions: what is trained, evaluated and exported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from pamdp.base.algorithm import ParameterNetwork, QFunction
from pamdp.base.choices import Choices
from pamdp.base.component import Component, Finite, Index, ListOf
from pamdp.base.errors import SettingsError
from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec
from pamdp.base.strategy import Strategy
from pamdp.learning.scaling import MaybeObserved, Scaling

MOST_HIDDEN = 2**25  # values of a hidden layer at a time, when episodes are played side by side


class Weight(Component):
    """One entry of the fixed linear layer: parameter index, feature index, value."""

    parameter: Index
    feature: Index
    value: Finite


class InitialParameters(Component):
    """Hand-set parameters to start from: a fixed linear layer beside the parameter network.

    Attributes:
      bias: one for each of the P parameters, environment units.
      weights: what the scaled features add, environment units.
    """

    bias: Annotated[ListOf[Finite], Field(max_length=10_000)]
    weights: Annotated[ListOf[Weight], Field(max_length=10_000)] = ()

    def check(self, num_parameters: int, num_features: int) -> None:
        """Raises SettingsError if these are not for P parameters and S features."""
        if len(self.bias) != num_parameters:
            raise SettingsError(
                f"initial_parameters.bias: expected {num_parameters} numbers, one for each "
                f"parameter, received {len(self.bias)}"
            )
        sizes = {"parameter": num_parameters, "feature": num_features}
        for index, weight in enumerate(self.weights):
            for name, size in sizes.items():
                if getattr(weight, name) >= size:
                    raise SettingsError(
                        f"initial_parameters.weights.{index}.{name}: expected an index below "
                        f"{size}, received {getattr(weight, name)}"
                    )


class Weights(NamedTuple):
    """All that a policy acts by.

    Attributes:
      x: weights of the parameter network.
      q: weights of the Q-network.
      observed: moments of the observations, as `Scaling` has them.
    """

    x: tuple
    q: tuple
    observed: MaybeObserved


class Decision(NamedTuple):
    """Actions [B] int32, all scaled parameters [B, P], and the action values [B, K].

    Or choices [B], all that the parameter network puts out [B, N] and the choices' values [B, L].
    """

    action: tf.Tensor
    parameters: tf.Tensor
    q: tf.Tensor


@dataclass(frozen=True)
class Policy:
    """The networks' forward passes.

    Attributes:
      choices: what the algorithm chooses between.
      parameter_network: the algorithm's parameter network.
      strategy: bounds the parameters in the forward pass.
      q_function: the algorithm's Q-function.
      observation_low: [S] lower bounds of raw observations.
      observation_high: [S] upper bounds.
      initial_parameters: hand-set parameters or None.
    """

    choices: Choices
    parameter_network: ParameterNetwork
    strategy: Strategy
    q_function: QFunction
    observation_low: np.ndarray
    observation_high: np.ndarray
    initial_parameters: InitialParameters | None

    def __post_init__(self) -> None:
        if self.initial_parameters is not None:
            self.initial_parameters.check(self.choices.actions.num_parameters, self.features)

    @property
    def spec(self) -> ActionSpec:
        """The action space that is learned in, of which P and K are below."""
        return self.choices.spec

    @property
    def features(self) -> int:
        """S."""
        return len(self.observation_low)

    @cached_property
    def scaling(self) -> Scaling:
        """How observations are scaled."""
        return Scaling(self.observation_low, self.observation_high)

    def initial(self, key: tf.Tensor) -> tuple:
        """Initial weights of the parameter network."""
        return self.parameter_network.initial(key, self.features)

    def parameters(
        self, weights: Weights, s: tf.Tensor, actions: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The parameter network, bounded by the strategy.

        Args:
          weights: of both networks.
          s: [B, S] scaled observations.
          actions: [B, M] int32, whose parameters are wanted; None for all K.

        Returns:
          [B, P] scaled parameters; of some actions [B, M m], their padded blocks side by side. The
          strategies, which treat each parameter by itself, are given both alike.
        """
        raw = self._raw(weights, s, actions)
        bounds = self.bounds(raw)
        if self.initial_parameters is not None:
            start = self._hand_set(self.initial_parameters, s)
            if actions is not None:
                start = tf.reshape(self.spec.take(start, actions), raw.shape)
            raw += self.strategy.unbound(start, *bounds)
        x = self.strategy.bound(raw, *bounds)
        return x if actions is None else x * self.real(actions)

    def values(
        self, weights: Weights, s: tf.Tensor, x: tf.Tensor, actions: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The Q-function: [B, K] values, or [B, M] of some actions; x as `parameters` has it."""
        if actions is None:
            return self.q_function.values(weights.q, s, x)
        blocks = tf.reshape(x, [*actions.shape, self.spec.max_size])
        return self.q_function.chosen(weights.q, s, blocks, actions)

    def real(self, actions: tf.Tensor) -> tf.Tensor:
        """[B, M m] float: 1 where a parameter of some actions [B, M] is no padding."""
        return _flat(tf.gather(self.spec.real, actions))

    def _raw(self, weights: Weights, s: tf.Tensor, actions: tf.Tensor | None) -> tf.Tensor:
        network = self.parameter_network
        if actions is None:
            return network.all(weights.x, weights.q, s)
        return _flat(network.chosen(weights.x, weights.q, s, actions))

    def bounds(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Bounds of scaled parameters [B, N], [N] each."""
        ones = tf.ones([x.shape[-1]])
        return -ones, ones

    def greedy(self, weights: Weights, observation: tf.Tensor) -> Decision:
        """The greedy decisions for raw observations [B, S], as an environment is given them."""
        batch, units = observation.shape[0], max(self.q_function.network.hidden)
        parts = math.ceil((batch or 1) * self.q_function.passes * units / MOST_HIDDEN)
        if parts == 1:
            return self._greedy(weights, observation)
        rows = math.ceil(batch / parts)
        padded = tf.pad(observation, [[0, parts * rows - batch], [0, 0]])
        decided = tf.map_fn(
            partial(self._greedy, weights),
            tf.reshape(padded, [parts, rows, self.features]),
            fn_output_signature=Decision(tf.int32, tf.float32, tf.float32),
        )
        return tf.nest.map_structure(
            lambda part: tf.reshape(part, [parts * rows, *part.shape[2:]])[:batch], decided
        )

    def _greedy(self, weights: Weights, observation: tf.Tensor) -> Decision:
        choice, x, q = self.choose(weights, observation)
        return Decision(*self.choices.executed(choice, x), self.choices.values(q, x))

    def choose(self, weights: Weights, observation: tf.Tensor) -> Decision:
        """The greedy choices for raw observations [B, S], as they are learned of."""
        s = self.scaling.apply(weights.observed, observation)
        x = self.parameters(weights, s)
        q = self.values(weights, s, x)
        return Decision(tf.argmax(q, axis=-1, output_type=tf.int32), x, q)

    def _hand_set(self, start: InitialParameters, s: tf.Tensor) -> tf.Tensor:
        """[B, P] scaled, of what is learned of."""
        values = [start.bias[p] + 0 * s[:, 0] for p in range(len(start.bias))]
        for weight in start.weights:
            values[weight.parameter] += weight.value * s[:, weight.feature]
        parameters = self.choices.actions.scale(tf.stack(values, axis=-1))
        return self.choices.starting_at(parameters)


def _flat(blocks: tf.Tensor) -> tf.Tensor:
    """[B, M, m] to [B, M m]."""
    batch, number, size = blocks.shape
    return tf.reshape(blocks, [batch, number * size])

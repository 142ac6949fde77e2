"""The parameterised action space: K discrete actions, action k with m_k bounded real parameters.

The only place that knows which of the P = sum m_k parameters belongs to which action.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import gymnasium
import numpy as np

from pamdp.base.lazy import tf

FEW = 64  # actions, up to which slices are quickly traced; their gradient costs less


@dataclass(frozen=True)
class Action:
    """One discrete action.

    Attributes:
      name: its name.
      low: lower bounds of its parameters, environment units.
      high: upper bounds.
      features: what is known of it, about as large as 1; as many for each action, or none.
    """

    name: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    features: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or any(
            not low < high for low, high in zip(self.low, self.high, strict=True)
        ):
            raise ValueError(
                f"action {self.name!r}: expected a lower and a higher bound for each parameter, "
                f"received low {self.low} and high {self.high}"
            )


@dataclass(frozen=True)
class ActionSpec:
    """A parameterised action space.

    Parameters travel as one flat vector of length P, the actions' blocks in order, scaled to
    [-1, 1]; they leave as the padded block of the taken action, in environment units. Of some
    chosen actions [B, M] they are blocks [B, M, m], padded with zeros.
    """

    actions: tuple[Action, ...]

    def __post_init__(self) -> None:
        if len({len(action.features) for action in self.actions}) > 1:
            raise ValueError("expected as many features for each action")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """m_k of each action."""
        return tuple(len(action.low) for action in self.actions)

    @property
    def num_actions(self) -> int:
        """K."""
        return len(self.actions)

    @cached_property
    def num_parameters(self) -> int:
        """P."""
        return sum(self.sizes)

    @property
    def max_size(self) -> int:
        """The longest parameter vector of an action, at least 1."""
        return max(1, *self.sizes)

    @cached_property
    def low(self) -> np.ndarray:
        """[P] lower bounds, environment units."""
        return np.concatenate([np.asarray(a.low, np.float32) for a in self.actions])

    @cached_property
    def high(self) -> np.ndarray:
        """[P] upper bounds, environment units."""
        return np.concatenate([np.asarray(a.high, np.float32) for a in self.actions])

    @cached_property
    def features(self) -> np.ndarray:
        """[K, F] float32, what is known of each action; F is 0 where nothing is."""
        return np.array([action.features for action in self.actions], np.float32)

    @cached_property
    def owner(self) -> np.ndarray:
        """[P] int32, the action that each parameter belongs to."""
        return np.repeat(np.arange(self.num_actions, dtype=np.int32), self.sizes)

    @cached_property
    def real(self) -> np.ndarray:
        """[K, m] float32: 1 where a padded block has a parameter."""
        return (np.arange(self.max_size) < np.array(self.sizes)[:, None]).astype(np.float32)

    @cached_property
    def places(self) -> np.ndarray:
        """[K, m] int32, where a parameter of a padded block stands among all P; 0 for padding."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        places = starts[:, None] + np.arange(self.max_size)
        return np.where(self.real > 0, places, 0).astype(np.int32)

    @cached_property
    def owned(self) -> np.ndarray:
        """[K, P] float32: 1 where the action owns the parameter."""
        return np.repeat(np.eye(self.num_actions, dtype=np.float32), self.sizes, axis=1)

    def scale(self, parameters: np.ndarray) -> np.ndarray:
        """[..., P] environment units to [-1, 1]."""
        return 2 * (parameters - self.low) / (self.high - self.low) - 1

    def unscale(self, parameters: tf.Tensor) -> tf.Tensor:
        """[..., P] scaled to environment units, clipped to the bounds.

        Clipped in these units, as rounding takes 1 beyond an upper bound: of Box(-0.2, 0.1) it
        makes the float32 after 0.1, which is not in the space.
        """
        units = self.low + (parameters + 1) * (0.5 * (self.high - self.low))
        return tf.clip_by_value(units, self.low, self.high)

    def mask(self, action: tf.Tensor) -> tf.Tensor:
        """[B] actions to [B, P] float32: 1 where the parameter is the action's own."""
        return tf.cast(tf.equal(self.owner, action[:, None]), tf.float32)

    def pad(self, values: tf.Tensor) -> tf.Tensor:
        """[..., P] to [..., K, m]: each action's block, padded with zeros."""
        if set(self.sizes) == {self.max_size}:
            # A batch axis may be unknown while a model is exported.
            leading = [-1 if size is None else size for size in values.shape[:-1]]
            return tf.reshape(values, [*leading, self.num_actions, self.max_size])
        if self.num_parameters and self.num_actions > FEW:
            return tf.gather(values, self.places, axis=-1) * self.real
        blocks = tf.split(values, self.sizes, axis=-1)
        rank = values.shape.rank - 1
        padded = [
            tf.pad(block, [[0, 0]] * rank + [[0, self.max_size - size]])
            for block, size in zip(blocks, self.sizes, strict=True)
        ]
        return tf.stack(padded, axis=-2)

    def unpad(self, blocks: tf.Tensor) -> tf.Tensor:
        """[B, K, m] to [B, P]: what `pad` was given."""
        flat = tf.reshape(blocks, [-1, self.num_actions * self.max_size])
        if set(self.sizes) == {self.max_size}:
            return flat
        return tf.gather(flat, np.flatnonzero(self.real), axis=-1)

    def rows(self, table: tf.Tensor, actions: tf.Tensor, start: int = 0) -> tf.Tensor:
        """Of a table with a row for each parameter, the rows of some actions.

        Args:
          table: [start + P, ...].
          actions: [B, M] int32.
          start: how many other rows stand before those of the parameters.

        Returns:
          [B, M, m, ...]; rows of padding are anything.
        """
        if not self.num_parameters:
            return tf.zeros([*actions.shape, self.max_size, *table.shape[1:]])
        return tf.gather(table, start + tf.gather(self.places, actions))

    def take(self, parameters: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Actions' own parameters.

        Args:
          parameters: [B, P].
          action: [B] int32, or [B, M].

        Returns:
          [B, m], or [B, M, m]; padded with zeros.
        """
        return tf.gather(self.pad(parameters), action, batch_dims=1)

    def executed(self, scaled: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """What an environment is given of scaled parameters.

        Args:
          scaled: [B, P] parameters of all actions, maybe out of their bounds.
          action: [B] int32, the taken ones.

        Returns:
          [B, m] the taken action's own, clipped to their bounds, environment units, padded.
        """
        return self.take(self.unscale(scaled), action)

    def element(self, action: int, parameters: np.ndarray) -> tuple[int, tuple[np.ndarray, ...]]:
        """An element of `space`.

        Args:
          action: the discrete action.
          parameters: [m] its parameters, padded; those of the other actions are their lower bound,
            in arrays that cannot be written.
        """
        blocks = [*self._lowest]
        blocks[action] = np.asarray(parameters[: self.sizes[action]], np.float32)
        return action, tuple(blocks)

    @cached_property
    def _lowest(self) -> list[np.ndarray]:
        lowest = [np.asarray(known.low, np.float32) for known in self.actions]
        for low in lowest:  # of all elements, which thousands of copies would make slow
            low.flags.writeable = False
        return lowest

    def space(self) -> gymnasium.spaces.Tuple:
        """The Gymnasium space `Tuple(Discrete(K), Tuple(Box(m_0), ..., Box(m_K-1)))`."""
        boxes = [
            gymnasium.spaces.Box(np.asarray(a.low, np.float32), np.asarray(a.high, np.float32))
            for a in self.actions
        ]
        return gymnasium.spaces.Tuple(
            (gymnasium.spaces.Discrete(self.num_actions), gymnasium.spaces.Tuple(boxes))
        )

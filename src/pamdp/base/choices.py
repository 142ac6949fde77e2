"""What an algorithm chooses between, and what that is to the environment."""

from __future__ import annotations

from dataclasses import dataclass

from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec


@dataclass(frozen=True)
class Choices:
    """The choices of an algorithm. By default they are the environment's actions.

    The learner deals with `spec`: L choices and the N numbers that the parameter network puts out.
    An environment is given one of K actions and its own of P parameters.

    Attributes:
      actions: the environment's action space.
    """

    actions: ActionSpec

    @property
    def spec(self) -> ActionSpec:
        """The action space that is learned in."""
        return self.actions

    def executed(self, choice: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the environment is given.

        Args:
          choice: [B] int32.
          x: [B, N] scaled.

        Returns:
          Actions [B] int32 and scaled parameters of all actions [B, P].
        """
        return choice, x

    def values(self, q: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """[B, K] of which the greedy action has the largest, of values [B, L] and x [B, N]."""
        del x
        return q

    def sets(self, q: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """All that a greedy decision may be.

        Args:
          q: [B, L] values of the choices.
          x: [B, N] scaled.

        Returns:
          For each of some sets of parameters, the values of all actions [B, sets, K] and the
          parameters [B, sets, P]. The greedy decision is an action and a set of the largest value.
        """
        _, parameters = self.executed(tf.argmax(q, axis=-1, output_type=tf.int32), x)
        return self.values(q, x)[:, None], parameters[:, None]

    def starting_at(self, parameters: tf.Tensor) -> tf.Tensor:
        """[B, N] that stand for scaled parameters [B, P]."""
        return parameters

    def randomised(self, x: tf.Tensor, random: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """What stands for a random action in x [N], where [] `random` says so.

        By default nothing: which choice is made at random is drawn by the learner.
        """
        del random, key
        return x

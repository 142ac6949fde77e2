"""What a learner is given, decides and remembers: nests of tensors."""

from __future__ import annotations

from typing import NamedTuple

from pamdp.base.lazy import tf
from pamdp.learning.policy import Weights
from pamdp.learning.scaling import MaybeObserved
from pamdp.learning.updates import MaybeTrained, Trained

NEAR = 0.98  # |scaled parameter| within 1 % of the range [-1, 1] of a bound


class Transition(NamedTuple):
    """What the environment answered to the last action. Scalars but for the observations.

    Attributes:
      reward: [] float, not yet scaled.
      terminated: [] bool, the task ended here: nothing is worth anything afterwards.
      ended: [] bool, the episode ended here, by termination or by truncation.
      next_observation: [S] what followed the action, raw.
      observation: [S] what to act on next: the same, or a new episode's first observation.
    """

    reward: tf.Tensor
    terminated: tf.Tensor
    ended: tf.Tensor
    next_observation: tf.Tensor
    observation: tf.Tensor


class Choice(NamedTuple):
    """An action: index [] int32 and all scaled parameters [P], not yet clipped."""

    action: tf.Tensor
    parameters: tf.Tensor


class Statistics(NamedTuple):
    """Sums since the last report, over episodes that ended or over updates.

    Attributes:
      episodes: how many ended.
      episode_return: their returns.
      episode_length: their lengths in actions.
      updates: how many there were; of each the mean over its minibatch is summed below.
      td_loss: of the TD loss.
      q: of `Q(s, a)`, the value of what was done. It is at hand; the values of the policy's own
        parameters, `Q(s, x(s))`, would cost another forward pass.
      clipped: the share of parameters of x(s) beyond their bounds.
      near_bound: that of those within 1 % of a bound or beyond it.
    """

    episodes: tf.Tensor
    episode_return: tf.Tensor
    episode_length: tf.Tensor
    updates: tf.Tensor
    td_loss: tf.Tensor
    q: tf.Tensor
    clipped: tf.Tensor
    near_bound: tf.Tensor

    @classmethod
    def empty(cls) -> Statistics:
        """Nothing counted yet."""
        return cls(*[tf.constant(0.0)] * len(cls._fields))

    def after_step(self, ended: tf.Tensor, total: tf.Tensor, length: tf.Tensor) -> Statistics:
        """With an action's episode, if it `ended` (1, else 0), of this return and length."""
        return self._replace(
            episodes=self.episodes + ended,
            episode_return=self.episode_return + ended * total,
            episode_length=self.episode_length + ended * length,
        )

    def after_update(
        self, td_loss: tf.Tensor, q: tf.Tensor, x: tf.Tensor, real: tf.Tensor | None
    ) -> Statistics:
        """With an update.

        Args:
          td_loss: [] its loss.
          q: [B] values of the actions taken, `Q(s, a)`.
          x: [B, P] scaled parameters.
          real: [B, P] float, 1 where there is one and 0 for padding; None for no padding.
        """

        def share(beyond: tf.Tensor) -> tf.Tensor:
            found = tf.cast(beyond, tf.float32)
            if real is None:
                return tf.reduce_mean(found)
            return tf.reduce_sum(found * real) / tf.maximum(tf.reduce_sum(real), 1.0)

        size = tf.abs(x)
        return self._replace(
            updates=self.updates + 1.0,
            td_loss=self.td_loss + td_loss,
            q=self.q + tf.reduce_mean(q),
            clipped=self.clipped + share(size > 1.0),
            near_bound=self.near_bound + share(size > NEAR),
        )


class LearnerState(NamedTuple):
    """All that learning depends on, one nest of tensors."""

    seed: tf.Tensor
    step: tf.Tensor  # transitions so far
    episodes: tf.Tensor
    q_network: Trained
    second_q: MaybeTrained  # the second Q-network, with `twin_q`
    x_network: Trained
    replay: tf.Tensor  # [replay_size, row]
    noise: tf.Tensor  # [P]
    observed: MaybeObserved  # of the observations
    observation: tf.Tensor  # [S] raw, what the last choice was made on
    choice: Choice
    running_return: tf.Tensor
    running_length: tf.Tensor
    statistics: Statistics

    @property
    def online(self) -> Weights:
        """What learns and acts."""
        return Weights(self.x_network.online, self.q_network.online, self.observed)

    @property
    def target(self) -> Weights:
        """The target networks."""
        return Weights(self.x_network.target, self.q_network.target, self.observed)


class Actor(NamedTuple):
    """What of a `LearnerState` is the environment's that it acts in; fields of the same names."""

    noise: tf.Tensor
    observation: tf.Tensor
    choice: Choice
    running_return: tf.Tensor
    running_length: tf.Tensor

    @classmethod
    def of(cls, state: LearnerState) -> Actor:
        """These fields as they are."""
        return cls(*(getattr(state, field) for field in cls._fields))


class Learned(NamedTuple):
    """What an update changes of a `LearnerState`, whose fields these are."""

    q_network: Trained
    second_q: MaybeTrained
    x_network: Trained
    statistics: Statistics

    @classmethod
    def of(cls, state: LearnerState) -> Learned:
        """These fields as they are."""
        return cls(*(getattr(state, field) for field in cls._fields))

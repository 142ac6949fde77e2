"""What a learner is given, decides and remembers: nests of tensors, no logic."""

from __future__ import annotations

from typing import NamedTuple

from pamdp.agents.adam import Moments
from pamdp.agents.scaling import Memory
from pamdp.lazy import tf


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
    """Sums since the last report."""

    episodes: tf.Tensor
    episode_return: tf.Tensor
    episode_length: tf.Tensor
    updates: tf.Tensor
    td_loss: tf.Tensor
    q: tf.Tensor
    clipped: tf.Tensor
    near_bound: tf.Tensor


class LearnerState(NamedTuple):
    """All that learning depends on, one nest of tensors."""

    seed: tf.Tensor
    step: tf.Tensor  # transitions so far
    episodes: tf.Tensor
    q: tuple
    x: tuple
    target_q: tuple
    target_x: tuple
    moments_q: Moments
    moments_x: Moments
    replay: tf.Tensor  # [replay_size, row]
    noise: tf.Tensor  # [P]
    observed: Memory  # of the observations
    observation: tf.Tensor  # [S] raw, what the last choice was made on
    choice: Choice
    running_return: tf.Tensor
    running_length: tf.Tensor
    statistics: Statistics

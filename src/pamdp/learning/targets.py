"""TD targets: the best of all actions, or of some candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pamdp.base import seeding
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.learning.learner_settings import LearnerSettings
from pamdp.learning.policy import Policy
from pamdp.learning.replay import Batch, Found, MaybeFound, Replay
from pamdp.learning.state import LearnerState


class Targeted(NamedTuple):
    """What an update learns from.

    Attributes:
      batch: a minibatch with scaled observations.
      target: [B] its TD targets y.
      found: the best candidates, which the memory is to have.
    """

    batch: Batch
    target: tf.Tensor
    found: MaybeFound


@dataclass(frozen=True)
class Targets:
    """The pure functions of TD targets.

    The maximum over a random subset and a remembered action is that of Fourati, Aggarwal, Alouini
    2024 (arXiv 2405.10310). What is remembered here is of each transition: the greedy action found
    when acting on what followed it, and later the best candidate of its last update.

    Attributes:
      settings: hyper-parameters; the floats may be tensors.
      policy: the forward passes.
    """

    settings: LearnerSettings
    policy: Policy

    @property
    def drawn(self) -> int:
        """How many candidates are drawn beside the remembered one; 0 where all actions are."""
        candidates = self.settings.candidates
        if candidates is None or candidates >= self.policy.spec.num_actions:
            return 0
        return candidates - 1

    def sample(self, replay: Replay, state: LearnerState) -> Targeted:
        """A minibatch and its targets."""
        settings, scaling = self.settings, self.policy.scaling
        key = seeding.stream(state.seed, Stream.REPLAY, state.step)
        filled = tf.minimum(state.step, settings.replay_size)
        indices = seeding.integers(key, (settings.batch_size,), filled)
        batch = replay.sample(state.replay, indices)
        batch = batch._replace(
            s_tm1=scaling.apply(state.observed, batch.s_tm1),
            s_t=scaling.apply(state.observed, batch.s_t),
        )
        value, found = self._value(replay, state, batch.s_t, indices)
        target = batch.r_t + settings.gamma * batch.continues_t * value
        if settings.n_step is not None:
            newest, steps, beta = state.step - 1, settings.n_step.steps, settings.n_step.beta
            ahead = replay.ahead(state.replay, indices, newest, steps, settings.gamma)
            s = scaling.apply(state.observed, ahead.s)
            value, more = self._value(replay, state, s, ahead.final)
            target = beta * (ahead.total + ahead.discount * value) + (1 - beta) * target
            found = tf.nest.map_structure(lambda *both: tf.concat(both, axis=0), found, more)
        return Targeted(batch, target, found)

    def nothing(self, replay: Replay, state: LearnerState) -> MaybeFound:
        """What stands in the memory already, in the shape of what an update finds."""
        if not self.drawn:
            return ()
        number = self.settings.batch_size * (2 if self.settings.n_step else 1)
        indices = tf.zeros([number], tf.int32)
        return Found(indices, replay.found(state.replay, indices))

    def _value(
        self, replay: Replay, state: LearnerState, s: tf.Tensor, indices: tf.Tensor
    ) -> tuple[tf.Tensor, MaybeFound]:
        """`max_k Q'(s, x'(s))_k` of the target networks; of two Q-functions the smaller value.

        Args:
          replay: the memory's functions.
          state: of the learner.
          s: [B, S] scaled observations.
          indices: [B] int32, the transitions that they followed.

        Returns:
          [B] values, and the best candidates.
        """
        policy, weights = self.policy, state.target
        actions = self._candidates(replay, state, indices) if self.drawn else None
        x = self._noisy(state, policy.parameters(weights, s, actions), actions)
        values = policy.values(weights, s, x, actions)
        if state.second_q:
            second = weights._replace(q=state.second_q.target)
            values = tf.minimum(values, policy.values(second, s, x, actions))
        found: MaybeFound = ()
        if actions is not None:
            best = tf.argmax(values, axis=-1, output_type=tf.int32)
            found = Found(indices, tf.gather(actions, best, batch_dims=1))
        return tf.reduce_max(values, axis=-1), found

    def _noisy(self, state: LearnerState, x: tf.Tensor, actions: tf.Tensor | None) -> tf.Tensor:
        """Parameters [B, N] with noise, if there is to be some, within their bounds then.

        Of some actions [B, M] or of all; padding stays what it is.
        """
        noise = self.settings.target_noise
        if noise is None:
            return x
        key = seeding.stream(state.seed, Stream.TARGET_NOISE, state.step)
        drawn = tf.clip_by_value(noise.std * seeding.normal(key, x.shape), -noise.clip, noise.clip)
        if actions is not None:
            drawn *= self.policy.real(actions)
        return tf.clip_by_value(x + drawn, -1.0, 1.0)

    def _candidates(self, replay: Replay, state: LearnerState, indices: tf.Tensor) -> tf.Tensor:
        """[B, M] int32: what is remembered of transitions, and actions drawn at random."""
        key = seeding.stream(state.seed, Stream.CANDIDATES, state.step)
        shape = (self.settings.batch_size, self.drawn)
        drawn = seeding.integers(key, shape, self.policy.spec.num_actions)
        return tf.concat([replay.found(state.replay, indices)[:, None], drawn], axis=1)

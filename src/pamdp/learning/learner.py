"""The learner of P-DQN and its relatives: one pure function, `advance`.

Algorithm 1 of Xiong et al. 2018 (arXiv 1810.06394), line by line, and what does it here:

    compute parameters x_k(s), the action by epsilon-greedy   `Learner.act`, `exploration`
    take the action, observe reward and next state            the loop (`compiled`, `hosted`)
    store the transition                                      `Learner.remember`, `replay`
    sample a minibatch, form the targets y                    `Learner._sample`
    gradient of the loss of Q(s, x)_a                         `Learner._critic_gradient`
    gradient of sum_k Q(s, x(s))_k, through the strategy      `Learner._policy_gradient`
    update both networks, and their targets                   `Learner.learn`, `updates`
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from pamdp.base import seeding
from pamdp.base.component import Component, Count, Positive, Share
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.base.networks import Network
from pamdp.base.seeding import Stream
from pamdp.base.strategy import Context, Strategy
from pamdp.learning.exploration import Epsilon, Exploration
from pamdp.learning.objectives import OBJECTIVES, TD_LOSSES, ObjectiveName, Sampled, TDLoss
from pamdp.learning.policy import Policy, Weights
from pamdp.learning.replay import Batch, Replay
from pamdp.learning.state import Choice, LearnerState, Statistics, Transition
from pamdp.learning.updates import Trained


class NStep(Component):
    """Targets that look several steps ahead along what was done.

    `y = beta G_n + (1 - beta) y_1`: G_n is the return of up to n steps of the episode, with the
    value of what follows where it goes on, y_1 the target of one step. Hausknecht & Stone 2016
    ("On-Policy vs. Off-Policy Updates for Deep Reinforcement Learning") mix in the return to the
    end of the episode, so do the published P-DQN scripts: n at least the length of an episode.

    Attributes:
      steps: n, how many steps of the episode are looked at.
      beta: the share of the n-step return; 1 is plain n-step learning.
    """

    steps: Annotated[Count, Field(ge=2)]
    beta: Share


class LearnerSettings(Component):
    """Hyper-parameters of the learner.

    Attributes:
      gamma: discount.
      n_step: targets that look several steps ahead; null for one step.
      td_loss: loss of the TD error.
      objective: what the parameter network ascends.
      batch_size: transitions per update; one update per environment step.
      replay_size: transitions kept.
      learning_starts: transitions before the first update.
      gradient_clip: global norm of each network's gradient at most, null for no limit.
      reward_scale: factor on rewards in learning; scores are never scaled.
      q: the Q-network.
      parameters: the parameter network.
      epsilon: exploration of the discrete action.
      exploration: exploration of its parameters.
      evaluated: the networks that are evaluated and exported: those that learn and act (as
        published), or the target networks, which average them and fluctuate far less.
    """

    gamma: Share
    n_step: NStep | None
    td_loss: TDLoss
    objective: ObjectiveName
    batch_size: Count
    replay_size: Count
    learning_starts: Count
    gradient_clip: Positive | None
    reward_scale: Positive
    q: Network
    parameters: Network
    epsilon: Epsilon
    exploration: Exploration
    evaluated: Literal["online", "target"]


@dataclass(frozen=True)
class Learner:
    """The pure functions of learning, for given settings and policy.

    Attributes:
      settings: hyper-parameters; the floats may be tensors.
      policy: the forward passes, with the strategy and the Q-function.
    """

    settings: LearnerSettings
    policy: Policy

    @cached_property
    def replay(self) -> Replay:
        """The memory's functions."""
        num_parameters = self.policy.spec.num_parameters
        return Replay(self.settings.replay_size, self.policy.features, num_parameters)

    def initial(self, seed: tf.Tensor, observation: tf.Tensor) -> LearnerState:
        """The state before the first transition, with the first action chosen.

        Args:
          seed: [] int32.
          observation: [S] raw, the first one.
        """
        policy = self.policy
        q = policy.q_function.initial(seeding.stream(seed, Stream.Q_WEIGHTS), policy.features)
        x = policy.initial(seeding.stream(seed, Stream.PARAMETER_WEIGHTS))
        parameters = tf.zeros([policy.spec.num_parameters])
        state = LearnerState(
            seed=seed,
            step=tf.constant(0),
            episodes=tf.constant(0),
            q_network=Trained.of(q),
            x_network=Trained.of(x),
            replay=self.replay.empty(),
            noise=parameters,
            observed=policy.scaling.initial(),
            observation=observation,
            choice=Choice(tf.constant(0), parameters),
            running_return=tf.constant(0.0),
            running_length=tf.constant(0.0),
            statistics=Statistics.empty(),
        )
        return self.act(state, observation)

    def advance(self, state: LearnerState, transition: Transition) -> LearnerState:
        """Stores the transition, learns from a minibatch and chooses the next action."""
        state = self.remember(state, transition)
        state = tf.cond(
            state.step >= self.settings.learning_starts,
            lambda: self.learn(state),
            lambda: state,
        )
        return self.act(state, transition.observation)

    def remember(self, state: LearnerState, transition: Transition) -> LearnerState:
        """Stores a transition and keeps the books of its episode."""
        continues = 1.0 - tf.cast(transition.terminated, tf.float32)
        ended = tf.cast(transition.ended, tf.float32)
        row = Batch(
            state.observation,
            state.choice.parameters,
            state.choice.action,
            transition.reward * self.settings.reward_scale,
            continues,
            ended,
            transition.next_observation,
        )
        total, length = state.running_return + transition.reward, state.running_length + 1.0
        return state._replace(
            step=state.step + 1,
            episodes=state.episodes + tf.cast(transition.ended, tf.int32),
            replay=self.replay.store(state.replay, state.step, row),
            running_return=total * (1.0 - ended),
            running_length=length * (1.0 - ended),
            statistics=state.statistics.after_step(ended, total, length),
        )

    def evaluated(self, state: LearnerState) -> Weights:
        """The weights to evaluate and export."""
        if self.settings.evaluated == "target":
            return Weights(state.x_network.target, state.q_network.target, state.observed)
        return Weights(state.x_network.online, state.q_network.online, state.observed)

    def learn(self, state: LearnerState) -> LearnerState:
        """One update of both networks from one minibatch.

        Critic: `y = r + gamma (1 - terminated) max_k Q'(s', x'(s'))_k`, loss on `Q(s, x)_a`.
        Parameter network: ascent on J through x(s), the Q-network held fixed. Both gradients are
        taken at the same weights (Xiong et al. 2018, algorithm 1).
        """
        settings = self.settings
        batch, target = self._sample(state)
        gradient_q, td_error, td_loss = self._critic_gradient(state, batch, target)
        gradient_x, x, q = self._policy_gradient(state, batch, target, td_error)
        norm = settings.gradient_clip
        return state._replace(
            q_network=state.q_network.descended(gradient_q, settings.q, norm),
            x_network=state.x_network.descended(gradient_x, settings.parameters, norm),
            statistics=state.statistics.after_update(td_loss, q, x),
        )

    def act(self, state: LearnerState, observation: tf.Tensor) -> LearnerState:
        """Chooses an action for a raw observation [S]: epsilon-greedy, parameters explored."""
        policy, settings = self.policy, self.settings
        observed = policy.scaling.updated(state.observed, observation)
        decision = policy.greedy(
            Weights(state.x_network.online, state.q_network.online, observed), observation[None]
        )
        key = seeding.stream(state.seed, Stream.ACT, state.step)
        draws = seeding.uniform(key, [2])
        random = draws[0] < settings.epsilon.at(state.episodes)
        num_actions = policy.spec.num_actions
        uniform_action = tf.cast(draws[1] * num_actions, tf.int32)
        action = tf.where(random, uniform_action, decision.action[0])
        parameters, noise = settings.exploration.explore(
            decision.parameters[0],
            state.noise,
            random,
            policy.spec.mask(action[None])[0],
            seeding.stream(state.seed, Stream.EXPLORE, state.step),
        )
        return state._replace(
            observed=observed,
            observation=observation,
            noise=noise,
            choice=Choice(action, parameters),
        )

    def _sample(self, state: LearnerState) -> tuple[Batch, tf.Tensor]:
        """A minibatch with scaled observations, and its TD targets y [B]."""
        settings, scaling = self.settings, self.policy.scaling
        key = seeding.stream(state.seed, Stream.REPLAY, state.step)
        filled = tf.minimum(state.step, settings.replay_size)
        indices = seeding.integers(key, (settings.batch_size,), filled)
        batch = self.replay.sample(state.replay, indices)
        batch = batch._replace(
            s_tm1=scaling.apply(state.observed, batch.s_tm1),
            s_t=scaling.apply(state.observed, batch.s_t),
        )
        value = self._target_value(state, batch.s_t)
        target = batch.r_t + settings.gamma * batch.continues_t * value
        if settings.n_step is not None:
            newest, steps, beta = state.step - 1, settings.n_step.steps, settings.n_step.beta
            ahead = self.replay.ahead(state.replay, indices, newest, steps, settings.gamma)
            value = self._target_value(state, scaling.apply(state.observed, ahead.s))
            target = beta * (ahead.total + ahead.discount * value) + (1 - beta) * target
        return batch, target

    def _target_value(self, state: LearnerState, s: tf.Tensor) -> tf.Tensor:
        """[B] `max_k Q'(s, x'(s))_k` of the target networks at scaled observations [B, S]."""
        x = self.policy.parameters(state.x_network.target, s)
        return tf.reduce_max(self.policy.q_function.values(state.q_network.target, s, x), axis=-1)

    def _critic_gradient(
        self, state: LearnerState, batch: Batch, target: tf.Tensor
    ) -> tuple[tuple, tf.Tensor, tf.Tensor]:
        """Gradient of the TD loss, TD errors [B] and the loss."""
        weights = state.q_network.online
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            q_tm1 = self.policy.q_function.taken(weights, batch.s_tm1, batch.x_tm1, batch.a_tm1)
            td_error = target - q_tm1
            loss = tf.reduce_mean(TD_LOSSES[self.settings.td_loss](td_error))
        return tape.gradient(loss, weights), td_error, loss

    def _policy_gradient(
        self, state: LearnerState, batch: Batch, target: tf.Tensor, td_error: tf.Tensor
    ) -> tuple[tuple, tf.Tensor, tf.Tensor]:
        """Descent direction of the parameter network: minus the strategy's ascent.

        Returns:
          The direction, the parameters x(s) [B, P] and their action values [B, K].
        """
        policy, settings, weights = self.policy, self.settings, state.x_network.online
        objective = OBJECTIVES[settings.objective]
        taken = policy.spec.mask(batch.a_tm1)
        key = seeding.stream(state.seed, Stream.OBJECTIVE, state.step)
        random = seeding.uniform(key, [policy.spec.num_actions])
        sampled = Sampled(batch.a_tm1, target, TD_LOSSES[settings.td_loss], random)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            x = policy.parameters(weights, batch.s_tm1)  # [B, P]
        with tf.GradientTape(watch_accessed_variables=False) as value_tape:
            value_tape.watch(x)
            q = policy.q_function.values(state.q_network.online, batch.s_tm1, x)  # [B, K]
            value = objective.value(q, sampled)
        ascent = value_tape.gradient(value, x)  # [B, P]
        if objective.own_only:
            ascent *= taken
        context = Context(x, *policy.bounds, td_error, taken)
        ascent = _same_shape(policy.strategy, policy.strategy.transform(ascent, context), x)
        return tape.gradient(x, weights, output_gradients=-ascent), x, q


def _same_shape(strategy: Strategy, ascent: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The ascent direction, if there is one number for each parameter; known when traced."""
    if getattr(ascent, "shape", None) != x.shape or ascent.dtype != x.dtype:
        raise PamdpError(
            f"strategy {strategy.kind!r}: expected transform to return an ascent direction "
            f"{x.shape} {x.dtype.name}, as it was given, received {ascent}"
        )
    return ascent

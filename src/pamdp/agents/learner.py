"""The learner of P-DQN and its relatives: one pure function, `advance`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pamdp import seeding
from pamdp.agents import adam, replay
from pamdp.agents.exploration import Epsilon, Exploration
from pamdp.agents.objectives import OBJECTIVES, TD_LOSSES, ObjectiveName, Sampled, TDLoss
from pamdp.agents.policy import NEAR, Policy
from pamdp.agents.state import Choice, LearnerState, Statistics, Transition
from pamdp.gradients import Context
from pamdp.lazy import tf
from pamdp.networks import Network
from pamdp.structure import Component, Count, Fraction, Positive


class LearnerSettings(Component):
    """Hyper-parameters of the learner; the defaults are those published for Platform.

    Attributes:
      gamma: discount.
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

    gamma: Fraction
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

    def initial(self, seed: tf.Tensor, observation: tf.Tensor) -> LearnerState:
        """The state before the first transition, with the first action chosen.

        Args:
          seed: [] int32.
          observation: [S] raw, the first one.
        """
        policy, spec = self.policy, self.policy.q_function.spec
        q = policy.q_function.initial(seeding.stream(seed, "q_weights"), policy.features)
        x = policy.initial(seeding.stream(seed, "parameter_weights"))
        parameters = tf.zeros([spec.num_parameters])
        state = LearnerState(
            seed=seed,
            step=tf.constant(0),
            episodes=tf.constant(0),
            q=q,
            x=x,
            target_q=q,
            target_x=x,
            moments_q=adam.moments(q),
            moments_x=adam.moments(x),
            replay=replay.empty(self.settings.replay_size, policy.features, spec.num_parameters),
            noise=parameters,
            s=policy.scale(observation),
            choice=Choice(tf.constant(0), parameters),
            running_return=tf.constant(0.0),
            running_length=tf.constant(0.0),
            statistics=Statistics(*[tf.constant(0.0)] * len(Statistics._fields)),
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
        row = replay.Batch(
            state.s,
            state.choice.parameters,
            state.choice.action,
            transition.reward * self.settings.reward_scale,
            continues,
            self.policy.scale(transition.next_observation),
        )
        ended = tf.cast(transition.ended, tf.float32)
        total, length = state.running_return + transition.reward, state.running_length + 1.0
        sums = state.statistics
        return state._replace(
            step=state.step + 1,
            episodes=state.episodes + tf.cast(transition.ended, tf.int32),
            replay=replay.store(state.replay, state.step, row),
            running_return=total * (1.0 - ended),
            running_length=length * (1.0 - ended),
            statistics=sums._replace(
                episodes=sums.episodes + ended,
                episode_return=sums.episode_return + ended * total,
                episode_length=sums.episode_length + ended * length,
            ),
        )

    def evaluated(self, state: LearnerState) -> tuple[tuple, tuple]:
        """Weights of (parameter network, Q-network) to evaluate and export."""
        target = self.settings.evaluated == "target"
        return (state.target_x, state.target_q) if target else (state.x, state.q)

    def learn(self, state: LearnerState) -> LearnerState:
        """One update of both networks from one minibatch.

        Critic: `y = r + gamma (1 - terminated) max_k Q'(s', x'(s'))_k`, loss on `Q(s, x)_a`.
        Parameter network: ascent on J through x(s), the Q-network held fixed. Both gradients are
        taken at the same weights (Xiong et al. 2018, algorithm 1).
        """
        settings = self.settings
        batch = self._sample(state)
        target = self._target(state, batch)
        gradient_q, td_error, td_loss = self._critic_gradient(state, batch, target)
        gradient_x, x, q = self._policy_gradient(state, batch, target, td_error)

        gradient_q = adam.clipped(gradient_q, settings.gradient_clip)
        gradient_x = adam.clipped(gradient_x, settings.gradient_clip)
        new_q, moments_q = adam.descend(
            state.q, gradient_q, state.moments_q, settings.q.learning_rate
        )
        new_x, moments_x = adam.descend(
            state.x, gradient_x, state.moments_x, settings.parameters.learning_rate
        )
        sums = state.statistics
        size = tf.abs(x)
        return state._replace(
            q=new_q,
            x=new_x,
            target_q=adam.polyak(state.target_q, new_q, settings.q.tau),
            target_x=adam.polyak(state.target_x, new_x, settings.parameters.tau),
            moments_q=moments_q,
            moments_x=moments_x,
            statistics=sums._replace(
                updates=sums.updates + 1.0,
                td_loss=sums.td_loss + td_loss,
                q=sums.q + tf.reduce_mean(q),
                clipped=sums.clipped + tf.reduce_mean(tf.cast(size > 1.0, tf.float32)),
                near_bound=sums.near_bound + tf.reduce_mean(tf.cast(size > NEAR, tf.float32)),
            ),
        )

    def act(self, state: LearnerState, observation: tf.Tensor) -> LearnerState:
        """Chooses an action for a raw observation [S]: epsilon-greedy, parameters explored."""
        policy, settings = self.policy, self.settings
        s = policy.scale(observation)
        decision = policy.greedy(state.x, state.q, s[None])
        key = seeding.stream(state.seed, "act", state.step)
        draws = seeding.uniform(key, [2])
        random = draws[0] < settings.epsilon.at(state.episodes)
        num_actions = policy.q_function.spec.num_actions
        uniform_action = tf.cast(draws[1] * num_actions, tf.int32)
        action = tf.where(random, uniform_action, decision.action[0])
        parameters, noise = settings.exploration.explore(
            decision.parameters[0],
            state.noise,
            random,
            policy.q_function.spec.mask(action[None])[0],
            seeding.stream(state.seed, "explore", state.step),
        )
        return state._replace(s=s, noise=noise, choice=Choice(action, parameters))

    def _sample(self, state: LearnerState) -> replay.Batch:
        key = seeding.stream(state.seed, "replay", state.step)
        filled = tf.minimum(state.step, self.settings.replay_size)
        indices = seeding.integers(key, (self.settings.batch_size,), filled)
        spec = self.policy.q_function.spec
        return replay.sample(state.replay, indices, self.policy.features, spec.num_parameters)

    def _target(self, state: LearnerState, batch: replay.Batch) -> tf.Tensor:
        """[B] TD targets y from the target networks."""
        x_t = self.policy.parameters(state.target_x, batch.s_t)
        q_t = self.policy.q_function.values(state.target_q, batch.s_t, x_t)
        bootstrap = batch.continues_t * tf.reduce_max(q_t, axis=-1)
        return batch.r_t + self.settings.gamma * bootstrap

    def _critic_gradient(
        self, state: LearnerState, batch: replay.Batch, target: tf.Tensor
    ) -> tuple[tuple, tf.Tensor, tf.Tensor]:
        """Gradient of the TD loss, TD errors [B] and the loss."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.q)
            q_tm1 = self.policy.q_function.taken(state.q, batch.s_tm1, batch.x_tm1, batch.a_tm1)
            td_error = target - q_tm1
            loss = tf.reduce_mean(TD_LOSSES[self.settings.td_loss](td_error))
        return tape.gradient(loss, state.q), td_error, loss

    def _policy_gradient(
        self, state: LearnerState, batch: replay.Batch, target: tf.Tensor, td_error: tf.Tensor
    ) -> tuple[tuple, tf.Tensor, tf.Tensor]:
        """Descent direction of the parameter network: minus the strategy's ascent.

        Returns:
          The direction, the parameters x(s) [B, P] and their action values [B, K].
        """
        policy, settings = self.policy, self.settings
        objective = OBJECTIVES[settings.objective]
        taken = policy.q_function.spec.mask(batch.a_tm1)
        key = seeding.stream(state.seed, "objective", state.step)
        random = seeding.uniform(key, [policy.q_function.spec.num_actions])
        sampled = Sampled(batch.a_tm1, target, TD_LOSSES[settings.td_loss], random)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.x)
            x = policy.parameters(state.x, batch.s_tm1)
        with tf.GradientTape(watch_accessed_variables=False) as value_tape:
            value_tape.watch(x)
            q = policy.q_function.values(state.q, batch.s_tm1, x)
            value = objective.value(q, sampled)
        ascent = value_tape.gradient(value, x)
        if objective.own_only:
            ascent *= taken
        context = Context(x, *policy.bounds, td_error, taken)
        ascent = policy.strategy.transform(ascent, context)
        return tape.gradient(x, state.x, output_gradients=-ascent), x, q

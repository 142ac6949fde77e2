"""The learner of P-DQN and its relatives: one pure function, `advance`.

Algorithm 1 of Xiong et al. 2018 (arXiv 1810.06394), and what does it here; the target networks are
those of the published code:

    compute parameters x_k(s), the action by epsilon-greedy   `Learner.act`, `exploration`
    take the action, observe reward and next state            the loop (`compiled`, `hosted`)
    store the transition                                      `Learner.remember`, `replay`
    sample a minibatch, form the targets y                    `targets`
    gradient of the loss of Q(s, x)_a                         `Learner._critic_gradient`
    gradient of sum_k Q(s, x(s))_k, through the strategy      `Learner._policy_gradient`
    update both networks, and their targets                   `Learner.learn`, `updates`
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from pamdp.base import seeding
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.base.strategy import Context, Strategy
from pamdp.learning.learner_settings import LearnerSettings
from pamdp.learning.objectives import OBJECTIVES, TD_LOSSES, Sampled
from pamdp.learning.policy import Policy, Weights
from pamdp.learning.replay import Batch, Found, MaybeFound, Replay
from pamdp.learning.state import Choice, Learned, LearnerState, Statistics, Transition
from pamdp.learning.targets import Targets
from pamdp.learning.updates import MaybeTrained, Trained, by_rows

Nest = TypeVar("Nest")


@dataclass(frozen=True)
class Learner:
    """The pure functions of learning, for given settings and policy.

    Attributes:
      settings: hyper-parameters; the floats may be tensors.
      policy: the forward passes, with the strategy and the Q-function.
      side_by_side: in how many copies of the environment it acts in turn.
    """

    settings: LearnerSettings
    policy: Policy
    side_by_side: int = 1

    @cached_property
    def replay(self) -> Replay:
        """The memory's functions."""
        spec, capacity, features = self.policy.spec, self.settings.replay_size, self.policy.features
        some = self.settings.candidates is not None
        size, greedy = spec.max_size if some else spec.num_parameters, self.targets.drawn > 0
        return Replay(capacity, features, size, greedy, self.side_by_side)

    @cached_property
    def targets(self) -> Targets:
        """The functions of TD targets."""
        return Targets(self.settings, self.policy)

    def initial(self, seed: tf.Tensor, observation: tf.Tensor) -> LearnerState:
        """The state before the first transition, with the first action chosen.

        Args:
          seed: [] int32.
          observation: [S] raw, the first one.
        """
        policy = self.policy
        q = policy.q_function.initial(seeding.stream(seed, Stream.Q_WEIGHTS), policy.features)
        second: MaybeTrained = ()
        if self.settings.twin_q:
            key = seeding.stream(seed, Stream.SECOND_Q_WEIGHTS)
            second = Trained.of(policy.q_function.initial(key, policy.features))
        x = policy.initial(seeding.stream(seed, Stream.PARAMETER_WEIGHTS))
        parameters = tf.zeros([policy.spec.num_parameters])
        state = LearnerState(
            seed=seed,
            step=tf.constant(0),
            episodes=tf.constant(0),
            q_network=Trained.of(q),
            second_q=second,
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
        # What does not change stays out of the branches, which would copy it, the memory above all.
        # They stay although two loops, before and after learning starts, would be faster: without
        # branches an update is fused with what is around it, which differs between the loops.
        learned, found = tf.cond(
            state.step >= self.settings.learning_starts,
            lambda: self._learned(state),
            lambda: (Learned.of(state), self.targets.nothing(self.replay, state)),
        )
        return self.act(self._with(state, learned, found), transition.observation)

    def remember(self, state: LearnerState, transition: Transition) -> LearnerState:
        """Stores a transition and keeps the books of its episode."""
        continues = 1.0 - tf.cast(transition.terminated, tf.float32)
        ended = tf.cast(transition.ended, tf.float32)
        parameters, action = state.choice.parameters, state.choice.action
        if self.settings.candidates is not None:
            parameters = self.policy.spec.take(parameters[None], action[None])[0]
        row = Batch(
            state.observation,
            parameters,
            action,
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
        return state.target if self.settings.evaluated == "target" else state.online

    def learn(self, state: LearnerState) -> LearnerState:
        """One update of both networks from one minibatch.

        Critic: `y = r + gamma (1 - terminated) max_k Q'(s', x'(s'))_k`, loss on `Q(s, x)_a`. With
        `candidates`, k is one of those.
        Parameter network: ascent on J through x(s), the Q-network held fixed. Both gradients are
        taken at the same weights (Xiong et al. 2018, algorithm 1).
        """
        return self._with(state, *self._learned(state))

    def _with(self, state: LearnerState, learned: Learned, found: MaybeFound) -> LearnerState:
        state = state._replace(**learned._asdict())
        if not found:
            return state
        return state._replace(replay=self.replay.with_found(state.replay, found))

    def _learned(self, state: LearnerState) -> tuple[Learned, MaybeFound]:
        settings = self.settings
        batch, target, found = self.targets.sample(self.replay, state)
        norm, second = settings.gradient_clip, state.second_q
        gradient_q, q, td_loss = self._critic_gradient(state, batch, target)
        gradient_x, *looked_at = self._policy_gradient(state, batch, target, target - q)
        if second:
            other = state._replace(q_network=second)
            gradient, *_ = self._critic_gradient(other, batch, target)
            new = second.descended(gradient, settings.q, norm)
            second = new._replace(target=self._in_turn(state, new.target, second.target))
        old = state.q_network
        new = old.descended(gradient_q, settings.q, norm)
        moved = state.x_network.descended(gradient_x, settings.parameters, norm)
        learned = Learned(
            q_network=new._replace(target=self._in_turn(state, new.target, old.target)),
            second_q=second,
            x_network=self._in_turn(state, moved, state.x_network),
            statistics=state.statistics.after_update(td_loss, q, *looked_at),
        )
        return learned, found

    def _in_turn(self, state: LearnerState, new: Nest, old: Nest) -> Nest:
        """What moves in one of `parameters_every` updates: the new one, or as it was.

        The parameter network and all target networks (Fujimoto et al. 2018, algorithm 1).
        """
        every = self.settings.parameters_every
        if every == 1:
            return new
        turn = (state.step - self.settings.learning_starts) % every == 0
        return tf.nest.map_structure(lambda a, b: tf.where(turn, a, b), new, old)

    def act(self, state: LearnerState, observation: tf.Tensor) -> LearnerState:
        """Chooses an action for a raw observation [S]: epsilon-greedy, parameters explored."""
        policy, settings = self.policy, self.settings
        observed = policy.scaling.updated(state.observed, observation)
        decision = policy.choose(state.online._replace(observed=observed), observation[None])
        key = seeding.stream(state.seed, Stream.ACT, state.step)
        draws = seeding.uniform(key, [2])
        random = draws[0] < settings.epsilon.at(state.episodes)
        num_actions = policy.spec.num_actions
        uniform_action = tf.cast(draws[1] * num_actions, tf.int32)
        action = tf.where(random, uniform_action, decision.action[0])
        parameters, noise = settings.exploration.explore(
            policy.choices.randomised(decision.parameters[0], random, seeding.fold(key, 1)),
            state.noise,
            random,
            policy.spec.mask(action[None])[0],
            seeding.stream(state.seed, Stream.EXPLORE, state.step),
        )
        replay = state.replay
        if self.replay.greedy:  # after the transition that led here
            newest = (state.step - 1) % settings.replay_size
            replay = self.replay.with_found(replay, Found(newest[None], decision.action))
        return state._replace(
            observed=observed,
            observation=observation,
            replay=replay,
            noise=noise,
            choice=Choice(action, parameters),
        )

    def _critic_gradient(
        self, state: LearnerState, batch: Batch, target: tf.Tensor
    ) -> tuple[tuple, tf.Tensor, tf.Tensor]:
        """Gradient of the TD loss, the values of the actions taken [B] and the loss."""
        weights = state.q_network.online
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            both = state.online._replace(q=weights)
            q_tm1 = self._taken(both, batch.s_tm1, batch.x_tm1, batch.a_tm1)
            loss = tf.reduce_mean(TD_LOSSES[self.settings.td_loss](target - q_tm1))
        return by_rows(tape.gradient(loss, weights), weights), q_tm1, loss

    def _taken(self, weights: Weights, s: tf.Tensor, x: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Values [B] of actions; x of all of them, or with `candidates` of these alone."""
        if self.settings.candidates is None:
            return self.policy.q_function.taken(weights.q, s, x, action)
        return self.policy.values(weights, s, x, action[:, None])[:, 0]

    def _policy_gradient(
        self, state: LearnerState, batch: Batch, target: tf.Tensor, td_error: tf.Tensor
    ) -> tuple[tuple, tf.Tensor, tf.Tensor | None]:
        """Descent direction of the parameter network: minus the strategy's ascent.

        Of all actions, or with `candidates` of the sampled ones alone: P is m then.

        Returns:
          The direction; the parameters x(s) [B, P]; for which of these there are some [B, P], None
          for all.
        """
        policy, settings, weights = self.policy, self.settings, state.online
        objective, s = OBJECTIVES[settings.objective], batch.s_tm1
        key = seeding.stream(state.seed, Stream.OBJECTIVE, state.step)
        random = seeding.uniform(key, [policy.spec.num_actions])
        if settings.candidates is None:
            actions, real = None, None
            taken = policy.spec.mask(batch.a_tm1)
        else:
            actions = batch.a_tm1[:, None]
            taken = real = policy.real(actions)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights.x)
            x = policy.parameters(weights, s, actions)  # [B, P]
        with tf.GradientTape(watch_accessed_variables=False) as value_tape:
            value_tape.watch(x)
            if objective.sampled:
                q = self._taken(weights, s, x, batch.a_tm1)  # [B]
            else:
                q = policy.values(weights, s, x)  # [B, K]
            sampled = Sampled(batch.a_tm1, target, TD_LOSSES[settings.td_loss], random)
            value = objective.value(q, sampled)
        ascent = value_tape.gradient(value, x)  # [B, P]
        if objective.own_only:
            ascent *= taken
        context = Context(x, *policy.bounds(x), td_error, taken)
        ascent = _same_shape(policy.strategy, policy.strategy.transform(ascent, context), x)
        gradient = tape.gradient(x, weights.x, output_gradients=-ascent)
        return by_rows(gradient, weights.x), x, real


def _same_shape(strategy: Strategy, ascent: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The ascent direction, if there is one number for each parameter; known when traced."""
    if getattr(ascent, "shape", None) != x.shape or ascent.dtype != x.dtype:
        raise PamdpError(
            f"strategy {strategy.kind!r}: expected transform to return an ascent direction "
            f"{x.shape} {x.dtype.name}, as it was given, received {ascent}"
        )
    return ascent

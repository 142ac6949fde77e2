"""Rollouts: many episodes side by side, of a greedy policy or of a random one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from pamdp import seeding
from pamdp.agents.policy import NEAR, Policy, Weights, send
from pamdp.envs.base import Environment, where
from pamdp.lazy import tf
from pamdp.spaces import ActionSpec


class Episodes(NamedTuple):
    """Results of [N] episodes; the shares are over all parameters at all visited states."""

    returns: tf.Tensor
    lengths: tf.Tensor
    successes: tf.Tensor
    clipped_share: tf.Tensor  # [] parameters outside their bounds before clipping
    near_bound_share: tf.Tensor  # [] parameters within 1 % of a bound, or outside


class Sent(NamedTuple):
    """Actions on their way out, one for each of [N] copies of an environment.

    Attributes:
      action: [N] int32, their indices.
      parameters: [N, m] their parameters in environment units, padded.
      scaled: [N, P] all scaled parameters, before clipping.
    """

    action: Any
    parameters: Any
    scaled: Any


def sent(spec: ActionSpec, action: tf.Tensor, scaled: tf.Tensor) -> Sent:
    """What is sent to the environment for actions [N] with scaled parameters [N, P]."""
    return Sent(action, send(spec, scaled, action), scaled)


def greedy(policy: Policy, weights: Weights, observation: tf.Tensor, key: tf.Tensor) -> Sent:
    """The greedy decisions of a policy; partially applied, what `rollout` takes."""
    del key
    decision = policy.greedy(weights, observation)
    return sent(policy.q_function.spec, decision.action, decision.parameters)


def uniform(spec: ActionSpec, observation: tf.Tensor, key: tf.Tensor) -> Sent:
    """Uniformly random actions and parameters; partially applied, what `rollout` takes."""
    batch = observation.shape[0]
    action = seeding.integers(seeding.fold(key, 0), (batch,), spec.num_actions)
    draws = seeding.uniform(seeding.fold(key, 1), [batch, spec.num_parameters])
    return sent(spec, action, 2 * draws - 1)


def rollout(
    decide: Callable[[tf.Tensor, tf.Tensor], Sent],
    task: Environment,
    key: tf.Tensor,
    num_episodes: int,
) -> Episodes:
    """Plays episodes from fresh starts.

    Args:
      decide: maps raw observations [N, S] and a key [2] to what is sent.
      task: the environment.
      key: [2] int32, the rollout's random numbers.
      num_episodes: N, played side by side.
    """
    initial = partial(task.initial, seeding.fold(key, 0), num_episodes)
    zeros = tf.zeros([num_episodes])

    def step(t: tf.Tensor, state: Any, running: tf.Tensor, sums: Episodes) -> tuple:
        action, parameters, scaled = decide(task.observation(state), seeding.fold(key, 2 + 2 * t))
        outcome = task.transition(state, action, parameters, seeding.fold(key, 1 + 2 * t))
        live = tf.cast(running, tf.float32)
        size = tf.abs(scaled)
        sums = Episodes(
            returns=sums.returns + live * outcome.reward,
            lengths=sums.lengths + live,
            successes=sums.successes + live * tf.cast(outcome.success, tf.float32),
            clipped_share=sums.clipped_share + live * _share(size > 1.0),
            near_bound_share=sums.near_bound_share + live * _share(size > NEAR),
        )
        # An ended copy starts anew, unobserved, so that no environment is stepped past its end. The
        # start is made again: as an invariant of the loop it would enter the program in an order
        # that varies between processes, and the compilation cache would miss.
        state = where(outcome.terminated, initial(), outcome.state)
        return t + 1, state, running & ~outcome.terminated, sums

    *_, sums = tf.while_loop(
        lambda t, state, running, sums: (t < task.max_episode_steps) & tf.reduce_any(running),
        step,
        (tf.constant(0), initial(), tf.ones([num_episodes], tf.bool), Episodes(*[zeros] * 5)),
    )
    steps = tf.reduce_sum(sums.lengths)
    return sums._replace(
        clipped_share=tf.reduce_sum(sums.clipped_share) / steps,
        near_bound_share=tf.reduce_sum(sums.near_bound_share) / steps,
    )


def _share(condition: tf.Tensor) -> tf.Tensor:
    """[B] share of the last axis that meets the condition."""
    return tf.reduce_mean(tf.cast(condition, tf.float32), axis=-1)

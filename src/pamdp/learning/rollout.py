"""Episodes of a policy, greedy or random, many side by side, and what is measured of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from pamdp.base import seeding
from pamdp.base.environment import Dynamics, where
from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec
from pamdp.learning.policy import Policy, Weights

# Copies that are decided for at a time. With a multiple of 8, as Eigen takes rows, the last bits of
# a product of matrices do not depend on how many rows it has.
ROWS = 128


class Command(NamedTuple):
    """Actions on their way to N copies of an environment.

    Attributes:
      action: [N] int32, their indices.
      parameters: [N, m] their parameters in environment units, padded.
      scaled: [N, P] all scaled parameters, before clipping.
    """

    action: Any
    parameters: Any
    scaled: Any

    @classmethod
    def of(cls, spec: ActionSpec, action: tf.Tensor, scaled: tf.Tensor) -> Command:
        """For actions [N] with scaled parameters [N, P]."""
        return cls(action, spec.executed(scaled, action), scaled)


class Step(NamedTuple):
    """One action in each of N copies: its scaled parameters before clipping, and what it brought.

    Attributes:
      scaled: [N, P] parameters of all actions.
      reward: [N].
      success: [N] 1 or 0; NaN where the environment does not tell.
    """

    scaled: Any
    reward: Any
    success: Any


class Episodes(NamedTuple):
    """Results of N episodes.

    Attributes:
      returns: [N].
      lengths: [N] in actions.
      successes: [N] 1 or 0; NaN, all of them, where the environment never told.
      means: [] by name, what was measured besides, as a mean over all steps of all episodes.
    """

    returns: Any
    lengths: Any
    successes: Any
    means: dict[str, Any]


Measures = Mapping[str, Callable[[Step], Any]]  # by name, [N] numbers of a step
NOTHING: Measures = {}


def greedy(policy: Policy, weights: Weights, observation: tf.Tensor, key: tf.Tensor) -> Command:
    """The greedy decisions of a policy for raw observations [N, S]."""
    del key
    decision = policy.greedy(weights, observation)
    return Command.of(policy.choices.actions, decision.action, decision.parameters)


def greedy_running(
    policy: Policy, weights: Weights, observation: tf.Tensor, running: tf.Tensor, key: tf.Tensor
) -> Command:
    """`greedy`, decided for copies that still run; partially applied, what `rollout` takes.

    Of more than `ROWS`, as many are decided for at a time, until none is left, and a copy that has
    ended is told what a running one is, so that none waits for an action that no episode takes.

    Args:
      policy: the policy.
      weights: its weights.
      observation: [N, S] raw.
      running: [N] bool, which copies run; one at least.
      key: of nothing; nothing is drawn.
    """
    number, count = observation.shape[0], tf.cumsum(tf.cast(running, tf.int32))
    if number <= ROWS:
        return greedy(policy, weights, observation, key)
    blocks = math.ceil(number / ROWS)
    order = tf.argsort(tf.cast(~running, tf.int32), stable=True)  # those that run come first
    padded = tf.pad(tf.gather(observation, order), [[0, blocks * ROWS - number], [0, 0]])
    parts = tf.reshape(padded, [blocks, ROWS, policy.features])
    spec = policy.choices.actions  # what is executed, which a learner's choices may not be

    def decide(i: tf.Tensor, actions: tf.TensorArray, scaled: tf.TensorArray) -> tuple:
        decision = policy.greedy(weights, parts[i])
        return i + 1, actions.write(i, decision.action), scaled.write(i, decision.parameters)

    nothing = (
        tf.TensorArray(tf.int32, blocks, element_shape=[ROWS]),
        tf.TensorArray(tf.float32, blocks, element_shape=[ROWS, spec.num_parameters]),
    )
    _, *decided = tf.while_loop(
        lambda i, *_: i * ROWS < count[-1], decide, (tf.constant(0), *nothing)
    )
    place = tf.maximum(count - 1, 0)
    return Command.of(spec, *(tf.gather(part.concat(), place) for part in decided))


def uniform(
    spec: ActionSpec, observation: tf.Tensor, running: tf.Tensor, key: tf.Tensor
) -> Command:
    """Uniformly random actions and parameters; partially applied, what `rollout` takes."""
    del running
    batch = observation.shape[0]
    action = seeding.integers(seeding.fold(key, 0), (batch,), spec.num_actions)
    draws = seeding.uniform(seeding.fold(key, 1), [batch, spec.num_parameters])
    return Command.of(spec, action, 2 * draws - 1)


def rollout(
    decide: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Command],
    task: Dynamics,
    key: tf.Tensor,
    num_episodes: int,
    measures: Measures = NOTHING,
) -> Episodes:
    """Plays episodes from fresh starts.

    Args:
      decide: maps raw observations [N, S], which copies still run [N], and a key [2] to what is
        done.
      task: the environment.
      key: [2] int32, the rollout's random numbers.
      num_episodes: N, played side by side.
      measures: what to measure of each step besides.
    """
    initial = partial(task.initial, seeding.fold(key, 0), num_episodes)
    zeros = tf.zeros([num_episodes])

    def step(t: tf.Tensor, state: Any, running: tf.Tensor, sums: Episodes) -> tuple:
        action, parameters, scaled = decide(
            task.observation(state), running, seeding.fold(key, 2 + 2 * t)
        )
        outcome = task.transition(state, action, parameters, seeding.fold(key, 1 + 2 * t))
        live = tf.cast(running, tf.float32)
        success = tf.cast(outcome.success, tf.float32)
        taken = Step(scaled, outcome.reward, success)
        sums = Episodes(
            returns=sums.returns + live * outcome.reward,
            lengths=sums.lengths + live,
            successes=sums.successes + live * success,
            means={n: sums.means[n] + live * measure(taken) for n, measure in measures.items()},
        )
        # An ended copy starts anew, unobserved, so that no environment is stepped past its end. The
        # start is made again: as an invariant of the loop it would enter the program in an order
        # that varies between processes, and the compilation cache would miss.
        state = where(outcome.terminated, initial(), outcome.state)
        return t + 1, state, running & ~outcome.terminated, sums

    nothing = Episodes(zeros, zeros, zeros, dict.fromkeys(measures, zeros))
    *_, sums = tf.while_loop(
        lambda t, _, running, __: (t < task.time_limit) & tf.reduce_any(running),
        step,
        (tf.constant(0), initial(), tf.ones([num_episodes], tf.bool), nothing),
    )
    steps = tf.reduce_sum(sums.lengths)
    return sums._replace(means={n: tf.reduce_sum(s) / steps for n, s in sums.means.items()})

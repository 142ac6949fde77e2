"""Any environment with its reward held back until the episode ends."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from pamdp.base.environment import Environment, Outcome, Path
from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec
from pamdp.envs.members import MEMBERS, Member


class State(NamedTuple):
    """The state of the environment within, and what an episode has come to. The rest is [B]."""

    task: Any
    elapsed: tf.Tensor  # int32 actions
    earned: tf.Tensor  # undiscounted


class Sparse(Environment):
    """The same task and the same return, paid with the last action of an episode and not before.

    An episode that the time limit ends is paid too: the limit is counted in here.

    Attributes:
      task: the environment within.
    """

    kind: Literal["sparse"]
    task: Member  # pyright: ignore[reportInvalidTypeForm]

    @property
    def gymnasium_id(self) -> str:
        """That of the task, with `Sparse` before its title."""
        return f"pamdp/Sparse{self.task.title}-{self.task.version}"

    @classmethod
    def variants(cls) -> tuple[Sparse, ...]:
        """One for each variant of each other environment."""
        return tuple(
            cls(kind="sparse", task=variant)
            for member in MEMBERS.values()
            for variant in member.variants()
        )

    @property
    def actions(self) -> ActionSpec:
        """The task's."""
        return self.task.actions

    @property
    def observation_low(self) -> np.ndarray:
        """The task's."""
        return self.task.observation_low

    @property
    def observation_high(self) -> np.ndarray:
        """The task's."""
        return self.task.observation_high

    @property
    def time_limit(self) -> int:
        """The task's."""
        return self.task.time_limit

    def initial(self, key: tf.Tensor, batch: int) -> State:
        """The task's, with nothing earned."""
        return State(self.task.initial(key, batch), tf.zeros([batch], tf.int32), tf.zeros([batch]))

    def observation(self, state: State) -> tf.Tensor:
        """The task's: nothing in it tells what was earned."""
        return self.task.observation(state.task)

    def transition(
        self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        """The task's, with the reward held back."""
        outcome = self.task.transition(state.task, action, parameters, key)
        elapsed, earned = state.elapsed + 1, state.earned + outcome.reward
        over = outcome.terminated | (elapsed >= self.time_limit)
        reward = tf.where(over, earned, tf.zeros_like(earned))
        return outcome._replace(state=State(outcome.state, elapsed, earned), reward=reward)

    def path(self, state: State, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor) -> Path:
        """The task's; what is counted in here stays as it was before the action."""
        path = self.task.path(state.task, action, parameters, key)

        def repeated(value: tf.Tensor) -> tf.Tensor:
            number = tf.nest.flatten(path.states)[0].shape[0]
            return tf.repeat(value[None], number, axis=0)

        return path._replace(states=State(path.states, *map(repeated, state[1:])))

    def picture(self, state: State, caption: str = "") -> np.ndarray:
        """The task's."""
        return self.task.picture(state.task, caption)

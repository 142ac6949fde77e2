"""What a loop is: a learner and an environment that take turns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pamdp.base.calls import Programs, once
from pamdp.base.lazy import tf
from pamdp.base.task import Task
from pamdp.learning.cell import Cell, learner_of
from pamdp.learning.policy import Weights
from pamdp.learning.rollout import NOTHING, Command, Episodes, Measures
from pamdp.learning.state import LearnerState

Decide = Callable[[np.ndarray], Command]  # from raw observations [N, S]; arrays


class LoopState(NamedTuple):
    """A training run at a step: one nest of tensors.

    Attributes:
      environment: state of the environment, [1, ...].
      elapsed: [1] int32 actions since the episode began.
      learner: state of the learner.
    """

    environment: Any
    elapsed: tf.Tensor
    learner: LearnerState


class LearnerPrograms(Programs):
    """What the programs of both loops know of the learner."""

    component: Cell

    @property
    def features(self) -> int:
        """S."""
        return len(self.component.task.observation_low)

    @once
    def like(self) -> LearnerState:
        """Shapes and types of the learner's state."""

        def initial(values: tf.Tensor, seed: tf.Tensor, observation: tf.Tensor) -> LearnerState:
            return learner_of(self.bound(values)).initial(seed, observation)

        arguments = self.values, tf.TensorSpec([], tf.int32), tf.TensorSpec([self.features])
        traced = tf.function(initial, autograph=False).get_concrete_function(*arguments)
        return traced.structured_outputs


class Loop(ABC):
    """Trains a cell in its environment, step by step. To be closed.

    Attributes:
      resumable: whether a run can go on from its `LoopState` alone.
      engine: on what several of them run side by side best.
      functions: what its programs are.
      cell: what it trains.
      values: the floats of the cell, the first argument of each program.
    """

    resumable: ClassVar[bool]
    engine: ClassVar[str]
    functions: ClassVar[type[LearnerPrograms]]

    def __init__(self, cell: Cell) -> None:
        """Makes the loop of a cell, in whose form of environment it trains."""
        self.cell = cell
        self.programs: Any = self.functions.of(cell)
        self.values = Programs.inputs(cell)

    @abstractmethod
    def prepare(self, num_episodes: int) -> None:
        """Traces what training calls, with evaluations of so many episodes.

        Compiled programs are found again, by other processes too, under names that count what was
        traced before. So this comes first of all, in one thread at a time.
        """

    @abstractmethod
    def initial(self, seed: int) -> LoopState:
        """The state before the first step; a seed starts all random numbers."""

    @abstractmethod
    def run(self, state: LoopState, num_steps: int) -> LoopState:
        """The state some steps later."""

    @abstractmethod
    def evaluate(
        self,
        weights: Weights,
        seed: int,
        number: int,
        num_episodes: int,
        measures: Measures = NOTHING,
    ) -> Episodes:
        """Greedy episodes, as arrays.

        Args:
          weights: of the policy.
          seed: of the run.
          number: tells apart the evaluations of a seed.
          num_episodes: how many.
          measures: what to measure of each step besides.
        """

    @abstractmethod
    def act(self, decide: Decide, seed: int, number: int, num_episodes: int) -> Episodes:
        """Episodes in which a function of arrays decides, step by step.

        The other arguments are those of `evaluate`, and so are the random numbers.
        """

    @classmethod
    @abstractmethod
    def random_episodes(cls, task: Any) -> tuple[Episodes, Task]:
        """Episodes of uniformly random actions and parameters, as many as are played quickly.

        Returns:
          The episodes; the task, with what they showed of it and it needs.
        """

    @abstractmethod
    def close(self) -> None:
        """Frees the environments that it has made."""

    def weights(self, state: LoopState) -> Weights:
        """The weights to evaluate and export."""
        return learner_of(self.cell).evaluated(state.learner)

"""The host loop: any Gymnasium environment, one compiled call of the learner for each step."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np

from pamdp.base.calls import Direct, Packer, on_cpu, once, pack, packed_like, unpack
from pamdp.base.lazy import tf
from pamdp.base.task import Task
from pamdp.learning.cell import Cell, learner_of, policy_of
from pamdp.learning.loop import Decide, LearnerPrograms, Loop, LoopState
from pamdp.learning.playing import episode_seeds, play, random_episodes
from pamdp.learning.policy import Policy, Weights
from pamdp.learning.remote import answered
from pamdp.learning.rollout import NOTHING, Command, Episodes, Measures, greedy
from pamdp.learning.state import Choice, LearnerState, Transition


class Answer(NamedTuple):
    """What the environment is given next: the action [] int32 and its parameters [m], padded."""

    action: Any
    parameters: Any


class HostedPrograms(LearnerPrograms):
    """The functions of cells with a Gymnasium environment; nests travel packed (`calls`)."""

    @once
    def answer(self) -> Direct:
        """(values, learner) to the answer."""
        return Direct(self._answer, self.values, packed_like(self.packed_learner))

    @once
    @on_cpu()
    def advance(self) -> Direct:
        """(values, learner, replay memory, transition) to the answer.

        Learner and memory are variables, which are written in place; tensors would be copied.
        """
        row = self.like.replay.shape[1]
        # Without contents: they are for the trace.
        replay = tf.Variable(tf.zeros([0, row]), shape=[None, row])
        learner = tf.Variable(tf.zeros([0]), shape=[None])
        return Direct(self._advance, self.values, learner, replay, packed_like(self.transition))

    @once
    def decide(self) -> Direct:
        """(values, weights, observations of all copies) to a `Command`."""
        observations = tf.TensorSpec([self.component.task.copies, self.features], tf.float32)
        weights = packed_like(learner_of(self.component).evaluated(self.like))
        return Direct(self._decide, self.values, weights, observations)

    @property
    def packed_learner(self) -> LearnerState:
        """Shapes and types of what travels of the learner: all but its replay memory."""
        return self.like._replace(replay=())

    @property
    def transition(self) -> Transition:
        """Shapes and types of what the environment answers."""
        observation, flag = tf.TensorSpec([self.features]), tf.TensorSpec([], tf.bool)
        return Transition(tf.TensorSpec([]), flag, flag, observation, observation)

    @once
    def transitions(self) -> Packer:
        """Makes the vector of what the environment answers."""
        return Packer(self.transition)

    @once
    def answers(self) -> Packer:
        """Reads the vector of an `Answer`."""
        size = self.component.task.actions.max_size
        return Packer(Answer(tf.TensorSpec([], tf.int32), tf.TensorSpec([size])))

    def _answer(self, values: tf.Tensor, learner: tf.Tensor) -> tf.Tensor:
        self.count("answer")
        policy = policy_of(self.bound(values))
        return packed_answer(policy, unpack(learner, self.packed_learner).choice)

    def _advance(
        self, values: tf.Tensor, learner: tf.Variable, replay: tf.Variable, transition: tf.Tensor
    ) -> tf.Tensor:
        self.count("advance")
        functions, like = learner_of(self.bound(values)), self.packed_learner
        rows = tf.ensure_shape(replay.read_value(), self.like.replay.shape)
        vector = tf.ensure_shape(learner.read_value(), packed_like(like).shape)
        state = unpack(vector, like)._replace(replay=rows)
        state = functions.advance(state, unpack(transition, self.transition))
        replay.assign(state.replay)
        learner.assign(pack(state._replace(replay=())))
        return packed_answer(functions.policy, state.choice)

    def _decide(self, values: tf.Tensor, weights: tf.Tensor, observations: tf.Tensor) -> Command:
        self.count("decide")
        cell = self.bound(values)
        like = learner_of(cell).evaluated(self.like)
        key = tf.zeros([2], tf.int32)  # nothing is random
        return greedy(policy_of(cell), unpack(weights, like), observations, key)


class HostLoop(Loop):
    """Training in any Gymnasium environment.

    In its `LoopState` the environment is represented by the packed `Answer` that it gets next, and
    the replay memory is a variable, which `run` writes in place: there is one copy of it, and the
    state before is gone. So is the environment's, which is not a value: a run that is interrupted
    starts anew.
    """

    resumable: ClassVar[bool] = False
    engine: ClassVar[str] = "processes"  # an environment in Python holds the interpreter's lock
    functions = HostedPrograms

    def __init__(self, cell: Cell) -> None:
        """Makes the loop of a cell whose task is a Gymnasium environment."""
        super().__init__(cell)
        self.task: Any = cell.task
        self._made: list[Any] = []  # to be closed

    @cached_property
    def environment(self) -> gymnasium.Env:
        """The environment of training."""
        return self._make()

    @cached_property
    def copies(self) -> list[gymnasium.Env]:
        """Those of evaluations."""
        return [self._make() for _ in range(self.task.copies)]

    def _make(self) -> gymnasium.Env:
        made = self.task.make()
        self._made.append(made)
        return made

    def prepare(self, num_episodes: int) -> None:
        """Nothing: it traces as it goes, in each process that runs it."""

    def close(self) -> None:
        """Frees the environments that it has made."""
        for environment in self._made:
            environment.close()

    def initial(self, seed: int) -> LoopState:
        """The state before the first step; the environment is seeded, too."""
        observation, _ = self.environment.reset(seed=seed)
        with on_cpu():
            learner = learner_of(self.cell).initial(tf.constant(seed), tf.constant(observation))
            (answer,) = self.programs.answer(self.values, pack(learner._replace(replay=())))
            replay = tf.Variable(learner.replay)
            return LoopState(answer, tf.zeros([1], tf.int32), learner._replace(replay=replay))

    def run(self, state: LoopState, num_steps: int) -> LoopState:
        """The state some steps later."""
        answer, elapsed, learner = state
        replay, programs = learner.replay, self.programs
        with on_cpu():
            vector = tf.Variable(pack(learner._replace(replay=())))
        fixed = self.values, vector.handle, replay.handle
        for _ in range(num_steps):
            taken = answered(self.environment, self._action(answer.numpy()))
            transition = programs.transitions.pack(*taken)
            (answer,) = programs.advance(*fixed, transition)
        with on_cpu():
            learner = unpack(vector.read_value(), programs.packed_learner)
        return LoopState(answer, elapsed, learner._replace(replay=replay))

    def _action(self, vector: np.ndarray) -> tuple[int, tuple[np.ndarray, ...]]:
        """The action that a packed `Answer` is."""
        index, parameters = self.programs.answers.unpack(vector)
        return self.task.actions.element(int(index), parameters)

    def evaluate(
        self,
        weights: Weights,
        seed: int,
        number: int,
        num_episodes: int,
        measures: Measures = NOTHING,
    ) -> Episodes:
        """Greedy episodes in other copies of the environment; arguments as `Loop` has them."""
        with on_cpu():
            vector = pack(weights)

        def decide(observations: np.ndarray) -> Command:
            answers = self.programs.decide(self.values, vector, observations)
            return Command(*(part.numpy() for part in answers))

        seeds = episode_seeds(seed, number, num_episodes)
        return play(self.copies, self.task.actions, decide, seeds, measures)

    def act(self, decide: Decide, seed: int, number: int, num_episodes: int) -> Episodes:
        """Episodes of a function of arrays; arguments as `Loop` has them."""
        seeds = episode_seeds(seed, number, num_episodes)
        return play(self.copies, self.task.actions, decide, seeds)

    @classmethod
    def random_episodes(cls, task: Any) -> tuple[Episodes, Task]:
        """200 episodes of uniformly random actions and parameters; the task with what was seen.

        Raises:
          EnvironmentFailure: an episode does not follow from its seed and what is done in it.
        """
        return random_episodes(task, 200)


def packed_answer(policy: Policy, choice: Choice) -> tf.Tensor:
    """The `Answer` that a choice gives, packed."""
    executed = policy.choices.executed(choice.action[None], choice.parameters[None])
    command = Command.of(policy.choices.actions, *executed)
    return pack(Answer(command.action[0], command.parameters[0]))

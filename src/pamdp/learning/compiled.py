"""The compiled loop: environment and learner in one XLA program, thousands of steps a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from pamdp.base import seeding
from pamdp.base.calls import compiled, on_cpu, once
from pamdp.base.environment import Environment, where
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.base.spaces import ActionSpec
from pamdp.base.task import Task
from pamdp.learning.cell import learner_of, policy_of
from pamdp.learning.loop import Decide, LearnerPrograms, Loop, LoopState
from pamdp.learning.policy import Weights
from pamdp.learning.rollout import (
    NOTHING,
    Command,
    Episodes,
    Measures,
    greedy_running,
    rollout,
    uniform,
)
from pamdp.learning.state import Transition


class CompiledPrograms(LearnerPrograms):
    """The compiled functions of cells with a functional environment."""

    @once
    def start(self) -> Any:
        """(values, seed) to the environment's first state and its observation."""
        return compiled(self._start)

    @once
    def run(self) -> Any:
        """(values, state, num_steps) to the state after so many steps."""
        return compiled(self._run)

    @once
    def evaluate(self) -> Any:
        """(values, weights, seed, number, num_episodes, names of measures, ...) to `Episodes`."""
        return compiled(self._evaluate)

    def _start(self, values: tf.Tensor, seed: tf.Tensor) -> tuple[Any, tf.Tensor]:
        self.count("start")
        task = self.bound(values).task
        state = task.initial(seeding.stream(seed, Stream.RESET, 0), 1)
        return state, task.observation(state)[0]

    def _run(self, values: tf.Tensor, state: LoopState, num_steps: tf.Tensor) -> LoopState:
        self.count("run")

        def step(i: tf.Tensor, state: LoopState) -> tuple[tf.Tensor, LoopState]:
            # In here, because invariants of a loop enter the program in an order that varies
            # between processes: with many of them the compilation cache would miss.
            return i + 1, _step(self.bound(values), state)

        return tf.while_loop(lambda i, _: i < num_steps, step, (tf.constant(0), state))[1]

    def _evaluate(
        self,
        values: tf.Tensor,
        weights: Weights,
        seed: tf.Tensor,
        number: tf.Tensor,
        num_episodes: int,
        measures: tuple,
    ) -> Episodes:
        self.count("evaluate")
        cell = self.bound(values)
        key = seeding.stream(seed, Stream.EVALUATION, number)
        decide = partial(greedy_running, policy_of(cell), weights)
        return rollout(decide, cell.task, key, num_episodes, dict(measures))


class CompiledLoop(Loop):
    """Training in an environment of pure functions."""

    resumable: ClassVar[bool] = True
    engine: ClassVar[str] = "threads"  # a compiled program releases the interpreter's lock
    functions = CompiledPrograms

    def prepare(self, num_episodes: int) -> None:
        """Traces what training calls, with evaluations of so many episodes."""
        number, forward = tf.TensorSpec([], tf.int32), self.cell.forward
        # Comes first, as cells of other strategies have it too.
        programs = CompiledPrograms.of(forward)
        weights = learner_of(forward).evaluated(programs.like)
        arguments = programs.inputs(forward), weights, number, number, num_episodes, ()
        programs.evaluate.get_concrete_function(*arguments)
        start = self.programs.start.get_concrete_function(self.values, number)
        elapsed = tf.TensorSpec([1], tf.int32)
        state = LoopState(start.structured_outputs[0], elapsed, self.programs.like)
        self.programs.run.get_concrete_function(self.values, state, number)

    @on_cpu()
    def initial(self, seed: int) -> LoopState:
        """The state before the first step; a seed starts all random numbers."""
        seed_tensor = tf.constant(seed)
        # Compiled like all resets after it: outside, the same key gives other draws.
        environment, observation = self.programs.start(self.values, seed_tensor)
        learner = learner_of(self.cell).initial(seed_tensor, observation)
        return LoopState(environment, tf.zeros([1], tf.int32), learner)

    @on_cpu()
    def run(self, state: LoopState, num_steps: int) -> LoopState:
        """The state some steps later."""
        return self.programs.run(self.values, state, tf.constant(num_steps))

    @on_cpu()
    def evaluate(
        self,
        weights: Weights,
        seed: int,
        number: int,
        num_episodes: int,
        measures: Measures = NOTHING,
    ) -> Episodes:
        """Greedy episodes, as arrays; arguments as `Loop` has them."""
        forward = self.cell.forward
        programs = CompiledPrograms.of(forward)
        which = tf.constant(seed), tf.constant(number), num_episodes, tuple(measures.items())
        episodes = programs.evaluate(programs.inputs(forward), weights, *which)
        return tf.nest.map_structure(np.asarray, episodes)

    @on_cpu()
    def act(self, decide: Decide, seed: int, number: int, num_episodes: int) -> Episodes:
        """Episodes of a function of arrays; arguments as `Loop` has them."""
        key = seeding.stream(tf.constant(seed), Stream.EVALUATION, number)
        task: Any = stepped(self.cell.task)  # pyright: ignore[reportArgumentType]
        episodes = rollout(lambda observations, *_: decide(observations), task, key, num_episodes)
        return tf.nest.map_structure(np.asarray, episodes)

    @classmethod
    def random_episodes(cls, task: Any) -> tuple[Episodes, Task]:
        """20,000 episodes of uniformly random actions and parameters; the task as it is."""

        def play() -> Episodes:
            key = seeding.stream(tf.constant(0), Stream.RANDOM_POLICY)
            return rollout(partial(uniform, task.actions), task, key, 20_000)

        return tf.nest.map_structure(np.asarray, compiled(play)()), task

    def close(self) -> None:
        """There is nothing to free."""


@dataclass(frozen=True)
class Stepped:
    """An environment to be stepped from outside: its functions are compiled one by one."""

    actions: ActionSpec
    time_limit: int
    initial: Callable[..., Any]
    observation: Callable[..., Any]
    transition: Callable[..., Any]


@cache
def stepped(task: Environment) -> Stepped:
    """The compiled functions of an environment."""
    functions = (task.initial, task.observation, task.transition)
    return Stepped(task.actions, task.time_limit, *map(compiled, functions))


def _step(cell: Any, state: LoopState) -> LoopState:
    """One action in the environment and one step of the learner."""
    learner = learner_of(cell)
    task, seed, number = cell.task, state.learner.seed, state.learner.step
    choice = state.learner.choice
    executed = learner.policy.choices.executed(choice.action[None], choice.parameters[None])
    command = Command.of(task.actions, *executed)
    key = seeding.stream(seed, Stream.ENVIRONMENT, number)
    outcome = task.transition(state.environment, command.action, command.parameters, key)
    elapsed = state.elapsed + 1
    ended = outcome.terminated | (elapsed >= task.time_limit)
    fresh = task.initial(seeding.stream(seed, Stream.RESET, number + 1), 1)
    following = where(ended, fresh, outcome.state)
    transition = Transition(
        reward=outcome.reward[0],
        terminated=outcome.terminated[0],
        ended=ended[0],
        next_observation=task.observation(outcome.state)[0],
        observation=task.observation(following)[0],
    )
    return LoopState(
        following, tf.where(ended, 0, elapsed), learner.advance(state.learner, transition)
    )

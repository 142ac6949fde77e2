"""The two loops around one learner: compiled, and on the host for any Gymnasium environment."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property, partial
from typing import ClassVar

import numpy as np

from pamdp import host, seeding
from pamdp.agents.policy import Weights
from pamdp.envs.base import Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.envs.parameterised import Parameterised
from pamdp.evaluation import Episodes, Sent, rollout, uniform
from pamdp.lazy import tf
from pamdp.packing import pack
from pamdp.programs import LoopState, Program, learner_of
from pamdp.settings import Cell


class Loop:
    """What both loops have in common: the compiled program of a cell and its floats.

    Attributes:
      resumable: whether a run can go on from its `LoopState` alone.
    """

    resumable: ClassVar[bool] = True

    def __init__(self, cell: Cell) -> None:
        """Makes the loop of a cell."""
        self.cell = cell
        self.program = Program.of(cell)
        self.values = Program.inputs(cell)

    def prepare(self, num_episodes: int) -> None:
        """Traces what training calls, with evaluations of so many episodes.

        Compiled programs are found again, by other processes too, under names that count what was
        traced before. So this comes first of all, in one thread. The host loop traces as it goes.
        """

    def close(self) -> None:
        """Frees the environments of the host loop."""

    def weights(self, state: LoopState) -> Weights:
        """The weights to evaluate and export."""
        return learner_of(self.cell).evaluated(state.learner)


class CompiledLoop(Loop):
    """Training in an environment of pure functions: thousands of steps in one call."""

    def prepare(self, num_episodes: int) -> None:  # noqa: D102
        number, forward = tf.TensorSpec([], tf.int32), self.cell.forward
        program = Program.of(forward)  # comes first, as cells of other strategies have it too
        weights = learner_of(forward).evaluated(program.like)
        values = Program.inputs(forward)
        program.evaluate.get_concrete_function(values, weights, number, number, num_episodes)
        start = self.program.start.get_concrete_function(self.values, number)
        elapsed = tf.TensorSpec([1], tf.int32)
        state = LoopState(start.structured_outputs[0], elapsed, self.program.like)
        self.program.run.get_concrete_function(self.values, state, number)

    def initial(self, seed: int) -> LoopState:
        """The state before the first step."""
        seed_tensor = tf.constant(seed)
        # Compiled like all resets after it: outside, the same key gives other draws.
        environment, observation = self.program.start(self.values, seed_tensor)
        learner = learner_of(self.cell).initial(seed_tensor, observation)
        return LoopState(environment, tf.zeros([1], tf.int32), learner)

    def run(self, state: LoopState, num_steps: int) -> LoopState:
        """The state some steps later."""
        return self.program.run(self.values, state, tf.constant(num_steps))

    def evaluate(self, weights: Weights, seed: int, number: int, num_episodes: int) -> Episodes:
        """Greedy episodes; `number` tells apart the evaluations of a seed."""
        forward = self.cell.forward
        episodes = Program.of(forward).evaluate(
            Program.inputs(forward), weights, tf.constant(seed), tf.constant(number), num_episodes
        )
        return Episodes(*(np.asarray(field) for field in episodes))


class HostLoop(Loop):
    """Training in any Gymnasium environment: one compiled call per step. To be closed.

    In its `LoopState` the environment is represented by the answer that it gets next, [1 + m]: the
    action and its parameters. The environment's own state is not a value: a run that is interrupted
    starts anew.
    """

    resumable: ClassVar[bool] = False

    def __init__(self, cell: Cell) -> None:
        """Makes the loop of a cell whose task is a Gymnasium environment."""
        super().__init__(cell)
        self.task = cell.hosted
        self._made: list[Parameterised] = []

    @cached_property
    def environment(self) -> Parameterised:
        """The environment of training."""
        return self._make()

    @cached_property
    def copies(self) -> list[Parameterised]:
        """Those of evaluations."""
        return [self._make() for _ in range(self.task.copies)]

    def _make(self) -> Parameterised:
        self._made.append(self.task.make())
        return self._made[-1]

    def close(self) -> None:  # noqa: D102
        for environment in self._made:
            environment.close()

    def initial(self, seed: int) -> LoopState:
        """The state before the first step; the environment is seeded."""
        observation, _ = self.environment.reset(seed=seed)
        learner = learner_of(self.cell).initial(tf.constant(seed), tf.constant(observation))
        (answer,) = self.program.answer(self.values, pack(learner._replace(replay=())))
        return LoopState(answer, tf.zeros([1], tf.int32), learner)

    def run(self, state: LoopState, num_steps: int) -> LoopState:
        """The state some steps later."""
        answer, elapsed, learner = state
        replay, packed = tf.Variable(learner.replay), pack(learner._replace(replay=()))
        for _ in range(num_steps):
            transition = tf.constant(self._transition(answer.numpy()))
            packed, answer = self.program.advance(self.values, packed, replay.handle, transition)
        learner = self.program.unpacked(packed)._replace(replay=replay.read_value())
        return LoopState(answer, elapsed, learner)

    def _transition(self, answer: np.ndarray) -> np.ndarray:
        """[3 + 2 S] float32: reward, terminated, ended, what followed, what to act on next."""
        action = self.task.actions.element(int(answer[0]), answer[1:])
        following, reward, terminated, truncated, _ = self.environment.step(action)
        ended = terminated or truncated
        observation = self.environment.reset()[0] if ended else following
        return np.concatenate(
            [np.array([reward, terminated, ended], np.float32), following, observation]
        )

    def evaluate(self, weights: Weights, seed: int, number: int, num_episodes: int) -> Episodes:
        """Greedy episodes in other copies of the environment."""
        packed = pack(weights)

        def decide(observations: np.ndarray) -> Sent:
            answers = self.program.decide(self.values, packed, tf.constant(observations))
            return Sent(*(part.numpy() for part in answers))

        seeds = host.episode_seeds(seed, number, num_episodes)
        return host.episodes(self.copies, self.task.actions, decide, seeds)


def loop_of(cell: Cell) -> CompiledLoop | HostLoop:
    """The loop that fits the cell's environment."""
    return HostLoop(cell) if isinstance(cell.task, Gymnasium) else CompiledLoop(cell)


def random_episodes(task: Environment | Gymnasium) -> Episodes:
    """What uniformly random actions earn: 20,000 episodes, 200 on the host."""
    spec = task.actions
    if isinstance(task, Gymnasium):
        seeds = host.episode_seeds(0, 0, 200)
        with closing(task.make()) as environment:
            return host.episodes([environment], spec, host.random_decisions(spec, 0), seeds)

    @tf.function(jit_compile=True, autograph=False)
    def play() -> Episodes:
        key = seeding.stream(tf.constant(0), "random_policy")
        return rollout(partial(uniform, spec), task, key, 20_000)

    return Episodes(*(np.asarray(field) for field in play()))

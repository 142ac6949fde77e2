"""The two loops around one learner: compiled, and on the host for any Gymnasium environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pamdp import host, seeding
from pamdp.agents.learner import Learner
from pamdp.agents.policy import Policy, Weights, send
from pamdp.agents.state import Choice, LearnerState, Transition
from pamdp.algorithms import ALGORITHMS
from pamdp.envs.base import Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.evaluation import Episodes, greedy, rollout, uniform, where
from pamdp.lazy import tf
from pamdp.settings import Cell
from pamdp.structure import floats, structure, with_floats


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


def policy_of(cell: Cell) -> Policy:
    """The forward passes of a cell."""
    task, learner = cell.task, cell.learner
    return Policy(
        learner.parameters,
        cell.strategy,
        ALGORITHMS[cell.algorithm](learner.q, task.actions),
        task.observation_low,
        task.observation_high,
        cell.initial_parameters,
    )


def learner_of(cell: Cell) -> Learner:
    """The learner of a cell."""
    return Learner(cell.learner, policy_of(cell))


def _compiled(function: Callable) -> Any:
    return tf.function(function, jit_compile=True, autograph=False)


class Program:
    """The compiled functions of all cells of one structure; every float is an input.

    Attributes:
      traces: how often each function was traced, by name. One each is what is wanted.
    """

    _programs: ClassVar[dict[str, Program]] = {}

    def __init__(self, cell: Cell) -> None:
        """Use `Program.of`, which compiles once for each structure."""
        self._cell = cell
        self._names = tuple(floats(cell))
        self.traces: dict[str, int] = {}
        self.start = _compiled(self._start)  # (values, seed) -> (environment's state, observation)
        self.run = _compiled(self._run)  # (values, state, num_steps) -> state
        self.evaluate = _compiled(self._evaluate)  # (..., num_episodes) -> Episodes
        # The host loop's: one step of the learner, what a choice sends, a greedy decision.
        self.advance = _compiled(self._advance)  # (values, state, transition) -> (state, sent)
        self.sent = _compiled(self._sent)  # (values, choice) -> sent
        self.decide = _compiled(self._decide)  # (values, weights, observation) -> (a, sent, x)

    @classmethod
    def of(cls, cell: Cell) -> Program:
        """The program of a cell's structure."""
        return cls._programs.setdefault(structure(cell), cls(cell))

    @staticmethod
    def inputs(cell: Cell) -> tf.Tensor:
        """[F] float32, the floats of a cell."""
        return tf.constant(list(floats(cell).values()), tf.float32)

    def _start(self, values: tf.Tensor, seed: tf.Tensor) -> tuple[Any, tf.Tensor]:
        self._count("start")
        task = self._bound(values).functional
        state = task.initial(seeding.stream(seed, "reset", 0), 1)
        return state, task.observation(state)[0]

    def _run(self, values: tf.Tensor, state: LoopState, num_steps: tf.Tensor) -> LoopState:
        self._count("run")

        def step(i: tf.Tensor, state: LoopState) -> tuple[tf.Tensor, LoopState]:
            # In here, because invariants of a loop enter the program in an order that varies
            # between processes: with many of them the compilation cache would miss.
            return i + 1, _step(self._bound(values), state)

        return tf.while_loop(lambda i, _: i < num_steps, step, (tf.constant(0), state))[1]

    def _evaluate(
        self,
        values: tf.Tensor,
        weights: Weights,
        seed: tf.Tensor,
        number: tf.Tensor,
        num_episodes: int,
    ) -> Episodes:
        self._count("evaluate")
        cell = self._bound(values)
        key = seeding.stream(seed, "evaluation", number)
        return rollout(
            partial(greedy, policy_of(cell), weights), cell.functional, key, num_episodes
        )

    def _advance(
        self, values: tf.Tensor, state: LearnerState, transition: Transition
    ) -> tuple[LearnerState, tf.Tensor]:
        self._count("advance")
        learner = learner_of(self._bound(values))
        state = learner.advance(state, transition)
        return state, _sent(learner.policy, state.choice)

    def _sent(self, values: tf.Tensor, choice: Choice) -> tf.Tensor:
        self._count("sent")
        return _sent(policy_of(self._bound(values)), choice)

    def _decide(
        self, values: tf.Tensor, weights: Weights, observation: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        self._count("decide")
        policy = policy_of(self._bound(values))
        decision = policy.greedy(weights, observation)
        sent = send(policy.q_function.spec, decision.parameters, decision.action)
        return decision.action, sent, decision.parameters

    def _count(self, name: str) -> None:
        """Counts a trace of a function."""
        self.traces[name] = self.traces.get(name, 0) + 1

    def _bound(self, values: tf.Tensor) -> Cell:
        """The cell with tensors for floats, for use within a trace."""
        return with_floats(self._cell, dict(zip(self._names, tf.unstack(values), strict=True)))


def _sent(policy: Policy, choice: Choice) -> tf.Tensor:
    """[m] what a choice sends to the environment."""
    return send(policy.q_function.spec, choice.parameters[None], choice.action[None])[0]


def _step(cell: Cell, state: LoopState) -> LoopState:
    """One action in the environment and one step of the learner."""
    learner = learner_of(cell)
    task, seed, number = cell.functional, state.learner.seed, state.learner.step
    choice = state.learner.choice
    action = choice.action[None]
    outcome = task.transition(
        state.environment,
        action,
        send(task.actions, choice.parameters[None], action),
        seeding.stream(seed, "environment", number),
    )
    elapsed = state.elapsed + 1
    ended = outcome.terminated | (elapsed >= task.max_episode_steps)
    fresh = task.initial(seeding.stream(seed, "reset", number + 1), 1)
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

    def weights(self, state: LoopState) -> Weights:
        """The weights to evaluate and export."""
        return learner_of(self.cell).evaluated(state.learner)


class CompiledLoop(Loop):
    """Training in an environment of pure functions: thousands of steps in one call."""

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
    """Training in any Gymnasium environment: one compiled call per step.

    In its `LoopState` the environment is represented by what is sent to it next, [m]. The
    environment's own state is not a value: a run that is interrupted starts anew.
    """

    resumable: ClassVar[bool] = False

    def __init__(self, cell: Cell) -> None:
        """Makes the loop of a cell whose task is a Gymnasium environment."""
        super().__init__(cell)
        self.task = cell.hosted
        self.environment = self.task.make()
        self.copies = [self.task.make() for _ in range(self.task.copies)]

    def initial(self, seed: int) -> LoopState:
        """The state before the first step; the environment is seeded."""
        observation, _ = self.environment.reset(seed=seed)
        learner = learner_of(self.cell).initial(tf.constant(seed), tf.constant(observation))
        sent = self.program.sent(self.values, learner.choice)
        return LoopState(sent, tf.zeros([1], tf.int32), learner)

    def run(self, state: LoopState, num_steps: int) -> LoopState:
        """The state some steps later."""
        sent, _, learner = state
        for _ in range(num_steps):
            action = int(learner.choice.action)
            transition = self._transition(self.task.actions.element(action, np.asarray(sent)))
            learner, sent = self.program.advance(self.values, learner, transition)
        return state._replace(environment=sent, learner=learner)

    def _transition(self, action: tuple) -> Transition:
        following, reward, terminated, truncated, _ = self.environment.step(action)
        ended = bool(terminated or truncated)
        observation = self.environment.reset()[0] if ended else following
        return Transition(
            tf.constant(reward, tf.float32),
            tf.constant(bool(terminated)),
            tf.constant(ended),
            tf.constant(following, tf.float32),
            tf.constant(observation, tf.float32),
        )

    def evaluate(self, weights: Weights, seed: int, number: int, num_episodes: int) -> Episodes:
        """Greedy episodes in other copies of the environment."""

        def decide(observations: np.ndarray) -> host.Sent:
            answers = self.program.decide(self.values, weights, tf.constant(observations))
            return host.Sent(*(np.asarray(part) for part in answers))

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
        return host.episodes([task.make()], spec, host.random_decisions(spec, 0), seeds)

    @tf.function(jit_compile=True, autograph=False)
    def play() -> Episodes:
        key = seeding.stream(tf.constant(0), "random_policy")
        return rollout(partial(uniform, spec), task, key, 20_000)

    return Episodes(*(np.asarray(field) for field in play()))

"""The compiled functions of cells: one program for each structure, every float an input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

from pamdp import seeding
from pamdp.agents.learner import Learner
from pamdp.agents.policy import Policy, Weights
from pamdp.agents.state import Choice, LearnerState, Transition
from pamdp.algorithms import ALGORITHMS
from pamdp.direct import Direct
from pamdp.envs.base import where
from pamdp.evaluation import Episodes, Sent, greedy, rollout, sent
from pamdp.lazy import once, tf
from pamdp.packing import pack, packed_like, unpack
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

    @once
    def like(self) -> LearnerState:
        """Shapes and types of the learner's state."""

        def initial(values: tf.Tensor, seed: tf.Tensor, observation: tf.Tensor) -> LearnerState:
            return learner_of(self._bound(values)).initial(seed, observation)

        shapes = [([len(self._names)], tf.float32), ([], tf.int32), ([self._features], tf.float32)]
        traced = tf.function(initial, autograph=False).get_concrete_function(
            *(tf.TensorSpec(shape, dtype) for shape, dtype in shapes)
        )
        return traced.structured_outputs

    # The functions of the host loop. Their arguments are few vectors; see `packing`.

    @once
    def answer(self) -> Direct:
        """(values, packed learner) to the answer."""
        return Direct(self._answer, *self._host_inputs)

    @once
    def advance(self) -> Direct:
        """(values, packed learner, replay memory, transition) to the packed learner and the answer.

        The replay memory is a variable, which is written in place; a tensor would be copied.
        """
        replay = tf.Variable(tf.zeros(self.like.replay.shape))
        transition = tf.TensorSpec([3 + 2 * self._features], tf.float32)
        return Direct(self._advance, *self._host_inputs, replay, transition)

    @once
    def decide(self) -> Direct:
        """(values, packed weights, observations of all copies) to `Sent`."""
        observations = tf.TensorSpec([self._cell.hosted.copies, self._features], tf.float32)
        weights = packed_like(learner_of(self._cell).evaluated(self.like))
        return Direct(self._decide, self._host_inputs[0], weights, observations)

    @property
    def _host_inputs(self) -> tuple[tf.TensorSpec, tf.TensorSpec]:
        values = tf.TensorSpec([len(self._names)], tf.float32)
        return values, packed_like(self.like._replace(replay=()))

    @property
    def _features(self) -> int:
        return len(self._cell.task.observation_low)

    def unpacked(self, packed: tf.Tensor) -> LearnerState:
        """The state of a learner without its replay memory, which is not packed."""
        return unpack(packed, self.like._replace(replay=()))

    def _answer(self, values: tf.Tensor, packed: tf.Tensor) -> tf.Tensor:
        self._count("answer")
        return _packed_choice(policy_of(self._bound(values)), self.unpacked(packed).choice)

    def _advance(
        self, values: tf.Tensor, packed: tf.Tensor, replay: tf.Variable, transition: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        self._count("advance")
        learner = learner_of(self._bound(values))
        state = self.unpacked(packed)._replace(replay=replay.read_value())
        facts, following, observation = tf.split(transition, [3, self._features, self._features])
        reward, terminated, ended = tf.unstack(facts)
        state = learner.advance(
            state, Transition(reward, terminated > 0, ended > 0, following, observation)
        )
        replay.assign(state.replay)
        return pack(state._replace(replay=())), _packed_choice(learner.policy, state.choice)

    def _decide(self, values: tf.Tensor, packed: tf.Tensor, observations: tf.Tensor) -> Sent:
        self._count("decide")
        cell = self._bound(values)
        weights = unpack(packed, learner_of(cell).evaluated(self.like))
        return greedy(policy_of(cell), weights, observations, tf.zeros([2], tf.int32))

    def _count(self, name: str) -> None:
        """Counts a trace of a function."""
        self.traces[name] = self.traces.get(name, 0) + 1

    def _bound(self, values: tf.Tensor) -> Cell:
        """The cell with tensors for floats, for use within a trace."""
        return with_floats(self._cell, dict(zip(self._names, tf.unstack(values), strict=True)))


def _packed_choice(policy: Policy, choice: Choice) -> tf.Tensor:
    """[1 + m] float32: the chosen action and what is sent with it."""
    action = choice.action[None]
    parameters = sent(policy.q_function.spec, action, choice.parameters[None]).parameters
    return tf.concat([tf.cast(action, tf.float32), parameters[0]], axis=0)


def _step(cell: Cell, state: LoopState) -> LoopState:
    """One action in the environment and one step of the learner."""
    learner = learner_of(cell)
    task, seed, number = cell.functional, state.learner.seed, state.learner.step
    choice = state.learner.choice
    action, parameters, _ = sent(task.actions, choice.action[None], choice.parameters[None])
    outcome = task.transition(
        state.environment, action, parameters, seeding.stream(seed, "environment", number)
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

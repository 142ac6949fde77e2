"""Functional environments as Gymnasium environments: one compiled call per step.

The dynamics are the functional form's own. The random numbers are those of the compiled training
loop: transition t draws from `stream(seed, "environment", t)` and a reset after t transitions from
`stream(seed, "reset", t)`, t counted since seeding and not anew in each episode.
"""

from __future__ import annotations

import operator
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np

from pamdp.base import seeding
from pamdp.base.calls import Direct, Packer, Programs, once, packed_like, unpack
from pamdp.base.environment import Environment, Path
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.bridge.actions import parsed
from pamdp.envs import ENVIRONMENTS

METADATA: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}
SEEDS = 2**31  # seeds of the streams are non-negative int32

ActionTuple = tuple[int, tuple[np.ndarray, ...]]


class _Given(NamedTuple):
    """What one action in an environment follows from, packed: making a tensor takes a tenth of it.

    Attributes:
      seed: [] int32.
      count: [] int32 transitions since seeding.
      action: [] int32.
      parameters: [m] of the action, padded.
    """

    seed: Any
    count: Any
    action: Any
    parameters: Any


class SinglePrograms(Programs):
    """The compiled functions of environments of one structure."""

    component: Environment

    @once
    def reset(self) -> Direct:
        """(values, [3] int32) to the observation and the state.

        The numbers are the seed, the transitions since seeding and the resets since the last one.
        """
        return Direct(self._reset, self.values, tf.TensorSpec([3], tf.int32))

    @once
    def step(self) -> Direct:
        """(values, `_Given`, state) to what `_step` tells."""
        return Direct(self._step, self.values, packed_like(self._given), self.state)

    @once
    def path(self) -> Direct:
        """(values, `_Given`, state) to the states on the way."""
        return Direct(self._path, self.values, packed_like(self._given), self.state)

    @property
    def state(self) -> Any:
        """Shapes and types of a state."""
        return self.reset.like[1]

    @once
    def given(self) -> Packer:
        """Makes the vector of a `_Given`."""
        return Packer(self._given)

    @property
    def _given(self) -> _Given:
        number = tf.TensorSpec([], tf.int32)
        return _Given(number, number, number, tf.TensorSpec([self.component.actions.max_size]))

    def _reset(self, values: tf.Tensor, numbers: tf.Tensor) -> tuple[tf.Tensor, Any]:
        environment, (seed, count, repeat) = self.bound(values), tf.unstack(numbers)
        key = seeding.stream(seed, Stream.RESET, count)
        state = environment.initial(tf.where(repeat > 0, seeding.fold(key, repeat), key), 1)
        return environment.observation(state)[0], state

    def _step(
        self, values: tf.Tensor, given: tf.Tensor, state: Any
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        """[3] reward, terminated and success; the observation [S]; the next state."""
        environment = self.bound(values)
        outcome = environment.transition(*self._taken(given, state))
        facts = tf.concat([tf.cast(fact, tf.float32) for fact in outcome[1:]], axis=0)
        # State and observation are no parts of a vector: the last bit of what a compiler fuses into
        # one would not be that of the compiled loop.
        return facts, environment.observation(outcome.state)[0], outcome.state

    def _path(self, values: tf.Tensor, given: tf.Tensor, state: Any) -> Path:
        return self.bound(values).path(*self._taken(given, state))

    def _taken(self, vector: tf.Tensor, state: Any) -> tuple:
        """The arguments of a transition."""
        given = unpack(vector, self._given)
        key = seeding.stream(given.seed, Stream.ENVIRONMENT, given.count)
        return state, given.action[None], given.parameters[None], key


class FunctionalEnv(gymnasium.Env[np.ndarray, ActionTuple]):
    """Any functional environment as a Gymnasium environment.

    Actions are `(index, (parameters of action 0, ..., parameters of action K-1))` in environment
    units; only the parameters of the chosen action have an effect, clipped to their bounds.
    `info["success"]` of a step tells whether the task's own criterion is met. There is no time
    limit in here: `gymnasium.make` adds it.

    Args:
      environment: the functional form.
      render_mode: `rgb_array` or None.
    """

    metadata: ClassVar[dict[str, Any]] = METADATA

    def __init__(self, environment: Environment, render_mode: str | None = None) -> None:
        check_render_mode(render_mode)
        self.environment = environment
        self.render_mode = render_mode
        self.action_space = environment.actions.space()
        self.observation_space = gymnasium.spaces.Box(
            environment.observation_low, environment.observation_high, dtype=np.float32
        )
        self._programs = SinglePrograms.of(environment)
        self._seed: int | None = None
        self._count = 0  # transitions since seeding
        self._repeat = 0  # resets since the last transition
        self._state: list[tf.Tensor] = []  # its tensors; none before the first episode
        self._taken: tuple[tf.Tensor, ...] | None = None  # what led to the state
        self._last_action: tuple[int, np.ndarray] | None = None
        self._over = True

    @cached_property
    def _values(self) -> tf.Tensor:
        # Not before the first episode: making an environment does not load TensorFlow.
        return Programs.inputs(self.environment)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode.

        Args:
          seed: restarts all random numbers; without one they go on.
          options: ignored.

        Returns:
          The observation [S] float32 and an empty dictionary.
        """
        super().reset(seed=seed, options=options)
        if seed is not None or self._seed is None:
            drawn = self.np_random.integers(SEEDS) if seed is None else seed
            self._seed, self._count, self._repeat = int(drawn) % SEEDS, 0, 0
        # Resets with no transition in between differ; the first one is the compiled loop's.
        numbers = np.array([self._seed, self._count, self._repeat], np.int32)
        observation, *self._state = self._programs.reset(self._values, numbers)
        self._repeat += 1
        self._taken, self._last_action, self._over = None, None, False
        return observation.numpy(), {}

    def step(self, action: ActionTuple) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carries out an action.

        Raises:
          ValueError: the action has not the form of the action space.
          gymnasium.error.ResetNeeded: the task has ended, or has never begun.
        """
        if self._over or self._seed is None:
            raise gymnasium.error.ResetNeeded(
                "step: expected a running episode, but it has terminated or has not been started; "
                "call reset first"
            )
        spec = self.environment.actions
        index, parameters = parsed(spec, action)
        padded = np.zeros(spec.max_size, np.float32)
        padded[: len(parameters)] = parameters
        given = self._programs.given.pack(self._seed, self._count, index, padded)
        self._taken = self._values, given, *self._state
        facts, observation, *self._state = self._programs.step(*self._taken)
        self._count, self._repeat = self._count + 1, 0
        reward, terminated, success = facts.numpy().tolist()
        self._over = terminated > 0
        self._last_action = index, parameters.copy()
        return observation.numpy(), reward, self._over, False, {"success": success > 0}

    def render(self) -> np.ndarray | None:
        """The picture of the state, [height, width, 3] uint8; None without a render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render: expected render_mode='rgb_array' when the environment was made, received "
                "None; nothing is drawn"
            )
            return None
        return self._now()

    def frames(self, every: int = 4) -> list[np.ndarray]:
        """Pictures of the last action: of every `every`-th tick within it, and of its end.

        After a reset there is one, of the start. So the frames of all steps are a film.
        """
        if self._taken is None:
            return [self._now()]
        path = tf.nest.pack_sequence_as(
            self._programs.path.like, [leaf.numpy() for leaf in self._programs.path(*self._taken)]
        )
        last = int(path.length) - 1
        return [
            self._picture(tf.nest.map_structure(operator.itemgetter(index), path.states))
            for index in [*range(every - 1, last, every), last]
        ]

    def _now(self) -> np.ndarray:
        if not self._state:
            raise gymnasium.error.ResetNeeded("render: no episode has begun; call reset first")
        return self._picture(tf.nest.pack_sequence_as(self._programs.state, self._state))

    def _picture(self, state: Any) -> np.ndarray:
        return drawn(self.environment, state, self._last_action)


class RegisteredEnv(FunctionalEnv):
    """What `gymnasium.make` makes: the environment of a kind.

    Args:
      kind: a key of `ENVIRONMENTS`.
      render_mode: `rgb_array` or None.
      settings: settings of that environment.
    """

    def __init__(self, kind: str, render_mode: str | None = None, **settings: Any) -> None:
        super().__init__(ENVIRONMENTS[kind](kind=kind, **settings), render_mode)


def check_render_mode(render_mode: str | None) -> None:
    """Raises ValueError for a mode in which our environments do not draw."""
    modes = METADATA["render_modes"]
    if render_mode not in (None, *modes):
        raise ValueError(f"render_mode: expected None or one of {modes}, received {render_mode!r}")


def drawn(environment: Environment, state: Any, last: tuple[int, np.ndarray] | None) -> np.ndarray:
    """The picture of a state, with the index and parameters of the action that led to it."""
    caption = ""
    if last is not None:
        name = environment.actions.actions[last[0]].name
        caption = " ".join([name, *(f"{value:.4g}" for value in last[1])])
    return environment.picture(state, caption)

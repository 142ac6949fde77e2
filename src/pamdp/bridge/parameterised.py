"""A user's environment in the form that all of this package knows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import gymnasium
import numpy as np

from pamdp.base.errors import SettingsError
from pamdp.bridge.adapter import ActionTuple
from pamdp.bridge.failures import theirs
from pamdp.bridge.translation import Actions, Drives, Observations, Seen

LARGEST = float(np.finfo(np.float32).max)
FEATURES = "action_features"  # [K, F], an attribute that an environment may have
SHOWN = 200  # characters of what was received
WAY_OUT = (
    "if it cannot be seeded, write seeded: false beside its id; then the study runs, and says that "
    "it is not reproducible"
)


class Parameterised(gymnasium.Wrapper[np.ndarray, ActionTuple, Any, Any]):
    """An environment whose action and observation space are translated.

    Actions are elements of `ActionSpec.space()`, of which only the chosen action's parameters are
    passed on; what the environment tells of its actions, an attribute `action_features` [K, F], is
    part of that specification; observations are [S] float32; `info["success"]` of a step is a
    boolean if the environment tells it, also under the name `is_success`. What means the same in
    another type is taken for it: flags and successes of NumPy or as 0 and 1, a reward as an array
    of one number. An error of the environment, and all that is no number, no flag or not finite, is
    an `EnvironmentFailure`.

    Args:
      environment: what `gymnasium.make` made.
      name: its id, for messages.
      drives: the boxes that each action drives; None where the action space tells it.
      omit: parts of the observation that are left out.
      seen: the range of each feature that was met before; None if that is not known.

    Attributes:
      actions: how its action space is translated.
      observations: how its observation space is translated.
      time_limit: in actions.

    Raises:
      SettingsError: the spaces cannot be translated, or there is no time limit.
    """

    def __init__(
        self,
        environment: gymnasium.Env,
        name: str,
        drives: Drives | None = None,
        omit: Sequence[str] = (),
        seen: Seen | None = None,
    ) -> None:
        super().__init__(environment)
        self.name = name
        self._return = 0.0  # of the episode so far
        with theirs(name, "make"):
            spaces = environment.action_space, environment.observation_space
            told = environment.has_wrapper_attr(FEATURES)
            features = environment.get_wrapper_attr(FEATURES) if told else None
        self.actions = Actions.of(spaces[0], drives, features)
        self.observations = Observations.of(spaces[1], omit, seen)
        self.action_space = self.actions.spec.space()
        self.observation_space = gymnasium.spaces.Box(
            self.observations.low, self.observations.high, dtype=np.float32
        )
        limit = _time_limit(environment)
        if limit is None:
            raise SettingsError(
                "expected a time limit, as an evaluation might never end without one, received "
                "none; set max_episode_steps beside the id, or register the environment with it"
            )
        self.time_limit = limit

    @property
    def reproducible(self) -> bool:
        """Whether its episodes follow from their seeds."""
        spec = self.unwrapped.spec
        return spec is None or not spec.nondeterministic

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode."""
        with theirs(self.name, "reset"):
            self._return = 0.0
            given: Any = self.env.reset(seed=seed, options=options)
            if not isinstance(given, tuple) or len(given) != 2:
                raise ValueError(f"expected a pair (observation, info), received {_shown(given)}")
            return self.observations.flat(given[0]), _dictionary(given[1])

    def step(self, action: ActionTuple) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carries out an action."""
        index, parameters = action[0], action[1][action[0]]
        name = self.actions.spec.actions[index].name
        with theirs(self.name, "step with action {} ({}), parameters {}", index, name, parameters):
            taken: Any = self.env.step(self.actions.own(index, parameters))
            observation, reward, terminated, truncated, info = taken
            info = _dictionary(info)
            told = [info[name] for name in ("success", "is_success") if info.get(name) is not None]
            info = {name: value for name, value in info.items() if name != "success"}
            if told:
                info["success"] = _flag("info['success']", told[0])
            return (
                self.observations.flat(observation),
                self._finite(reward),
                _flag("terminated", terminated),
                _flag("truncated", truncated),
                info,
            )

    def render(self) -> Any:
        """What the environment draws."""
        with theirs(self.name, "render"):
            return self.env.render()

    def close(self) -> None:
        """Frees what the environment holds."""
        with theirs(self.name, "close"):
            super().close()

    def _finite(self, given: Any) -> float:
        """A reward, which leaves the episode's return a finite float32."""
        reward = _number(given)
        if reward is None or not abs(reward) <= LARGEST:
            raise ValueError(f"expected a finite number as the reward, received {_shown(given)}")
        self._return += reward
        if not abs(self._return) <= LARGEST:
            raise ValueError(
                f"expected rewards whose sum in an episode is at most {LARGEST:.1e}, the range of "
                f"float32, received {self._return}; scale them down in the environment"
            )
        return reward


class Unseeded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Resets an environment without seeds, and calls it nondeterministic as Gymnasium does."""

    def __init__(self, environment: gymnasium.Env) -> None:
        super().__init__(environment)
        if self.unwrapped.spec is not None:
            self.unwrapped.spec.nondeterministic = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode."""
        del seed
        return self.env.reset(options=options)


class Recording(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Notes the range of each feature of what an environment observes.

    It stands between a user's environment and its translation, and changes nothing.

    Args:
      environment: the user's.
      observations: how its observation space is translated.

    Attributes:
      seen: the range so far.
    """

    def __init__(self, environment: gymnasium.Env, observations: Observations) -> None:
        super().__init__(environment)
        self.observations = observations
        number = len(observations.low)
        self.seen = Seen(np.full(number, np.inf), np.full(number, -np.inf))

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(**given)
        self._note(observation)
        return observation, info

    def step(self, action: Any) -> Any:
        """Carries out an action."""
        taken = self.env.step(action)
        self._note(taken[0])
        return taken

    def _note(self, observation: Any) -> None:
        row = self.observations.row(observation).astype(np.float64)
        self.seen = Seen(np.minimum(self.seen.low, row), np.maximum(self.seen.high, row))


def _time_limit(environment: gymnasium.Env) -> int | None:
    """The shortest of all layers in actions; None without one."""
    limits, layer = [], environment
    while isinstance(layer, gymnasium.Wrapper):
        limits.append(layer.spec and layer.spec.max_episode_steps)
        layer = layer.env
    return min(filter(None, limits), default=None)


def _number(given: Any) -> float | None:
    """The one real number that something is, whatever its type; None if it is not."""
    if isinstance(given, float):
        return given
    try:
        if isinstance(given, Real | Decimal):
            return float(given)
        # A list is none: it would be one of several numbers that happens to be short.
        if hasattr(given, "__array__"):
            found = np.asarray(given)
            return float(found.item()) if found.size == 1 and found.dtype.kind in "biuf" else None
    except (TypeError, ValueError, OverflowError):
        pass
    return None


def _flag(name: str, given: Any) -> bool:
    if isinstance(given, bool):
        return given
    number = _number(given)
    if number not in (0.0, 1.0):
        raise ValueError(f"expected True or False as {name}, received {_shown(given)}")
    return number == 1.0


def _dictionary(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError(f"expected a dictionary as info, received {_shown(given)}")
    return given


def _shown(given: Any) -> str:
    """A stranger's object in a message; it may be of any size."""
    text = repr(given)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ... ({type(given).__name__})"

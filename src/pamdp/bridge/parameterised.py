"""A user's environment in the form that all of this package knows, and its errors as its own."""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np

from pamdp.base.errors import EnvironmentFailure, PamdpError, SettingsError
from pamdp.bridge.adapter import ActionTuple
from pamdp.bridge.translation import Actions, Drives, Observations, Seen

LARGEST = float(np.finfo(np.float32).max)
# Frames of these files lead to a stranger's code and are none of its own.
LEADING = (
    "<frozen",
    *(os.path.dirname(str(module.__file__)) + os.sep for module in (gymnasium, importlib)),
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
)


class Parameterised(gymnasium.Wrapper[np.ndarray, ActionTuple, Any, Any]):
    """An environment whose action and observation space are translated.

    Actions are elements of `ActionSpec.space()`, of which only the chosen action's parameters are
    passed on; observations are [S] float32; `info["success"]` of a step is a boolean if the
    environment tells it, also under the name `is_success`. An error of the environment, and numbers
    that are not finite, are an `EnvironmentFailure`.

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
        with theirs(name, "make"):
            spaces = environment.action_space, environment.observation_space
        self.actions = Actions.of(spaces[0], drives)
        self.observations = Observations.of(spaces[1], omit, seen)
        self.action_space = self.actions.spec.space()
        self.observation_space = gymnasium.spaces.Box(
            self.observations.low, self.observations.high, dtype=np.float32
        )
        limit = environment.spec and environment.spec.max_episode_steps
        if not limit:
            raise SettingsError(
                "expected a time limit, as an evaluation might never end without one, received "
                "none; set max_episode_steps beside the id, or register the environment with it"
            )
        self.time_limit = limit

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode."""
        with theirs(self.name, "reset"):
            observation, info = self.env.reset(seed=seed, options=options)
            return self.observations.flat(observation), info

    def step(self, action: ActionTuple) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Carries out an action."""
        index, parameters = action[0], action[1][action[0]]
        name = self.actions.spec.actions[index].name
        with theirs(self.name, "step with action {} ({}), parameters {}", index, name, parameters):
            taken: Any = self.env.step(self.actions.own(index, parameters))
            observation, reward, terminated, truncated, info = taken
            if np.shape(reward) or not abs(float(reward)) <= LARGEST:
                raise ValueError(f"expected a finite number as the reward, received {reward!r}")
            success = info.get("success", info.get("is_success"))
            return (
                self.observations.flat(observation),
                float(reward),
                bool(terminated),
                bool(truncated),
                info if success is None else {**info, "success": bool(success)},
            )

    def render(self) -> Any:
        """What the environment draws."""
        with theirs(self.name, "render"):
            return self.env.render()

    def close(self) -> None:
        """Frees what the environment holds."""
        with theirs(self.name, "close"):
            super().close()


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


@contextmanager
def theirs(name: str, doing: str, *given: Any) -> Iterator[None]:
    """Reports every error as that of a user's environment.

    Args:
      name: the environment's id.
      doing: what it was asked to do; `{}` stand for what it was given.
      given: is written only if there is an error.

    Raises:
      EnvironmentFailure: with the traceback from the first frame of the user's code on.
    """
    try:
        yield
    except PamdpError:  # it has its words already
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise EnvironmentFailure(
            f"environment {name!r} failed in {doing.format(*given)}:\n{_report(error)}"
        ) from error


def _report(error: Exception) -> str:
    # Gymnasium raises some errors of a constructor anew: then the cause has the user's frames.
    for cause in (error, error.__cause__):
        frame = cause and cause.__traceback__
        while frame and frame.tb_frame.f_code.co_filename.startswith(LEADING):
            frame = frame.tb_next
        if cause and frame:
            return "".join(traceback.format_exception(type(cause), cause, frame)).rstrip()
    return "".join(traceback.format_exception_only(error)).rstrip()

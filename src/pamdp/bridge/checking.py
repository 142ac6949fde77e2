"""Gymnasium's own check of an environment, in the form in which this package runs it."""

from __future__ import annotations

import re
import warnings
from functools import wraps
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

from pamdp.base.errors import EnvironmentFailure
from pamdp.bridge.failures import theirs
from pamdp.bridge.parameterised import WAY_OUT, Parameterised, Unseeded

# Of Gymnasium's warnings these are not passed on.
STYLE = (
    "different from the unwrapped version",  # the checker is given what we make of it
    "is -infinity",  # of our observation space, not of theirs
    "is infinity",
    "recommend using a symmetric and normalized space",  # parameters are scaled to [-1, 1] here
)

# In what the checker says of seeds; what does not even take one is not helped by the setting.
OF_SEEDS = r"(?i)^(?!.*unexpected keyword).*(seed|determinis|np_random|random number generat)"


def checked(made: Parameterised) -> list[str]:
    """Has Gymnasium check an environment; gives what it warns of.

    Raises:
      EnvironmentFailure: it does not keep to the interface.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _check(made)
        except EnvironmentFailure as error:
            if made.reproducible and re.search(OF_SEEDS, str(error).rpartition("\n")[2]):
                raise EnvironmentFailure(f"{error}\n{WAY_OUT}") from error.__cause__
            raise
    found = [re.sub(r"\x1b\[\d+m|WARN: ", "", str(warning.message)) for warning in caught]
    kept = [text for text in dict.fromkeys(found) if not any(part in text for part in STYLE)]
    if not made.reproducible:
        seeded = not isinstance(made.env, Unseeded)
        why = "it is registered as nondeterministic" if seeded else "seeded is false"
        kept.append(f"not reproducible, as {why}: another run will give other results")
    return kept


def _check(made: Parameterised) -> None:
    # One step first: the checker takes a number that is not finite for chance.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.reset(seed=0)
        made.action_space.seed(0)
        made.step(made.action_space.sample())
    with theirs(made.name, "check_env"):
        check_env(_Plain(made), skip_render_check=True)


class _Plain(gymnasium.Wrapper):
    """Keeps from the checker what is harmless here, and that it takes for a fault.

    What is told besides may change from call to call (times, counters), an observation may lie
    outside of its bounds, which setup names, and an episode may be cut off after one step.
    """

    def __init__(self, made: Parameterised) -> None:
        super().__init__(made)
        shape = made.observation_space.shape
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)

        @wraps(made.unwrapped.reset)  # the checker looks at its arguments
        def reset(**arguments: Any) -> tuple[np.ndarray, dict]:
            with warnings.catch_warnings():  # what the environment warns of, or sets, is its own
                warnings.simplefilter("ignore")
                observation, _ = made.reset(**arguments)
            if isinstance(made.env, Unseeded):  # the checker looks for what a seed would have done
                gymnasium.Env.reset(made.unwrapped, seed=arguments.get("seed"))
            return observation, {}

        self.reset = reset

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """A step, after which the episode has terminated or goes on."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            observation, reward, terminated, truncated, _ = self.env.step(action)
        return observation, float(reward), terminated or truncated, False, {}

    @property
    def spec(self) -> Any:
        """The environment's own, by which the checker makes another one."""
        return self.env.unwrapped.spec

"""Any Gymnasium environment with a parameterised action space, by its id."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import closing
from functools import cached_property
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env
from pydantic import BeforeValidator, Field, WithJsonSchema

from pamdp.envs.parameterised import Parameterised, theirs
from pamdp.envs.translation import Observations
from pamdp.problems import SettingsError
from pamdp.spaces import ActionSpec
from pamdp.structure import Component, Count, structure

TRANSLATION = ("pamdp.envs.parameterised", "pamdp.envs.translation")
RESERVED = ("disable_env_checker", "id", "max_episode_steps", "render_mode")


def _as_text(value: Any) -> str:
    """Arguments as JSON, whether they come as a mapping or as the text made of one."""
    try:
        values = json.loads(value) if isinstance(value, str) else value
        text = json.dumps(values, sort_keys=True)
        faithful = isinstance(values, dict) and json.loads(text) == values
    except (TypeError, ValueError):
        faithful = False
    if not faithful:
        raise ValueError(
            "expected names with numbers, texts, booleans, null, or lists and mappings of them, "
            f"received {value!r}"
        )
    if taken := [name for name in RESERVED if name in values]:
        raise ValueError(f"expected what the environment's constructor takes, received {taken[0]}")
    return text


# A text, so that its floats are structure: bounds may follow from them, and those are constants of
# compiled programs.
Arguments = Annotated[str, BeforeValidator(_as_text), WithJsonSchema({"type": "object"})]


class _Facts(NamedTuple):
    """What can be told of an environment once it has been made."""

    actions: ActionSpec
    observations: Observations
    time_limit: int
    render_modes: tuple[str, ...]
    source_files: dict[str, Path]


_known: dict[str, _Facts] = {}


class Gymnasium(Component):
    """An environment that the host loop steps.

    `pamdp.envs.translation` says which spaces it may have.

    Attributes:
      id: what `gymnasium.make` takes; `package:Name-v0` imports the package, which registers it.
      arguments: of the environment's constructor, by name.
      copies: how many of it play side by side in evaluations, with one decision for all. A matter
        of speed: each episode has its own seed, and no more than the last bit of what the networks
        answer may depend on how many they are asked for.
      max_episode_steps: a time limit in actions; null for the registered one.
    """

    kind: Literal["gymnasium"]
    id: str
    arguments: Arguments = Field(default="{}", json_schema_extra={"default": {}})
    copies: Count = 1
    max_episode_steps: Count | None = None

    def make(self, render_mode: str | None = None) -> Parameterised:
        """A new instance.

        Raises:
          EnvironmentFailure: it cannot be made.
          SettingsError: its spaces cannot be translated, or its episodes might never end.
        """
        arguments = json.loads(self.arguments)
        if render_mode is not None:  # not every constructor knows it
            arguments["render_mode"] = render_mode
        with theirs(self.id, "make"):
            # The checker gives advice on the first steps; what is wrong is raised without it.
            made = gymnasium.make(
                self.id, self.max_episode_steps, disable_env_checker=True, **arguments
            )
        try:
            return Parameterised(made, self.id)
        except SettingsError as error:
            raise SettingsError(f"{self.id}: {error}") from None

    def check(self) -> None:
        """Has Gymnasium check that the environment keeps to the interface.

        Raises:
          EnvironmentFailure: it does not.
        """
        with closing(self.make()) as made, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on style
            # One step first: the checker takes a number that is not finite for chance.
            made.reset(seed=0)
            made.action_space.seed(0)
            made.step(made.action_space.sample())
            with theirs(self.id, "check_env"):
                check_env(made.unwrapped, skip_render_check=True)

    @property
    def actions(self) -> ActionSpec:
        """The action space."""
        return self._facts.actions

    @property
    def observation_low(self) -> np.ndarray:
        """[S] lower bounds, infinite where there are none."""
        return self._facts.observations.low

    @property
    def observation_high(self) -> np.ndarray:
        """[S] upper bounds, infinite where there are none."""
        return self._facts.observations.high

    @property
    def time_limit(self) -> int:
        """The time limit in actions, be it that of the settings or the registered one."""
        return self._facts.time_limit

    @property
    def render_modes(self) -> tuple[str, ...]:
        """In which ways it says that it draws."""
        return self._facts.render_modes

    @property
    def source_files(self) -> dict[str, Path]:
        """The files that its behaviour follows from, as far as is known, by names of modules.

        Those of the classes of the environment and of its wrappers, of what makes it, of the
        package in the id and of the translation; neither Gymnasium's own nor what these import.
        """
        return self._facts.source_files

    @property
    def distributions(self) -> dict[str, str]:
        """Names and versions of the installed distributions that the source files belong to."""
        owners = packages_distributions()
        return {
            name: installed.version
            for module, file in self.source_files.items()
            for name in sorted(set(owners.get(module.partition(".")[0], ())))
            if file.is_relative_to(str((installed := distribution(name)).locate_file("")))
        }

    @cached_property
    def _facts(self) -> _Facts:
        # An instance is made once for all equal settings: that may take long.
        key = structure(self)
        if key not in _known:
            with closing(self.make()) as made:
                files = _source_files(made.env, self.id)
                modes = tuple(made.metadata.get("render_modes", ()))
                _known[key] = _Facts(
                    made.actions.spec, made.observations, made.time_limit, modes, files
                )
        return _known[key]


def _source_files(environment: gymnasium.Env, name: str) -> dict[str, Path]:
    layers = [environment]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    modules = {member.__module__ for layer in layers for member in type(layer).__mro__}
    entry = getattr(layers[-1].spec, "entry_point", "")
    modules.add(entry.partition(":")[0] if isinstance(entry, str) else entry.__module__)
    modules |= {name.rpartition(":")[0], *TRANSLATION}
    return {
        module: Path(file)
        for module in sorted(modules)
        if module.partition(".")[0] not in {"gymnasium", *sys.stdlib_module_names}
        if (file := getattr(sys.modules.get(module), "__file__", None))
    }

"""Any Gymnasium environment with a parameterised action space, by its id or its class."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from pydantic import Field

from pamdp.base.component import Count, ListOf
from pamdp.base.errors import SettingsError
from pamdp.base.spaces import ActionSpec
from pamdp.base.task import Task, ends
from pamdp.bridge.checking import checked
from pamdp.bridge.failures import theirs
from pamdp.bridge.fields import Arguments, Drives, PartName, Ranges, Wrappers
from pamdp.bridge.named import (
    check_arguments,
    environment_of,
    module_of,
    origin_of,
    wrapped,
    wrapper_of,
)
from pamdp.bridge.parameterised import Parameterised, Unseeded
from pamdp.bridge.translation import Actions, Observations, Seen
from pamdp.envs import LISTS

MOST_COPIES = 256  # each is a process
TRANSLATION = ("pamdp.bridge.parameterised", "pamdp.bridge.translation")


@dataclass(frozen=True, eq=False)
class _Facts:
    """What can be told of an environment once it has been made.

    Attributes:
      origin: the objects that its settings named then.
    """

    origin: list[object]

    actions: Actions
    observation_space: gymnasium.Space
    time_limit: int
    render_modes: tuple[str, ...]
    reproducible: bool


_known: dict[str, _Facts] = {}


class Gymnasium(Task):
    """An environment that the host loop steps.

    `pamdp.bridge.translation` says which spaces it may have.

    Attributes:
      id: what `gymnasium.make` takes; `package:Name-v0` imports the package, which registers it.
        Or `module:name` of a class or function that makes it, where nothing is registered.
      arguments: of the environment's constructor, by name.
      copies: how many of it play side by side in evaluations, with one decision for all. A matter
        of speed: each episode has its own seed, and no more than the last bit of what the networks
        answer may depend on how many they are asked for.
      training_copies: in how many of it training acts in turn, each in a process of its own. For
        environments that take long. It is another experiment than with one, and as repeatable.
      max_episode_steps: a time limit in actions; null for the registered one.
      wrappers: Gymnasium's by name, or a user's own as `module:name`, the innermost first; each a
        name, or a mapping of its name and its arguments.
      seeded: false for what cannot be seeded. It is reset without seeds, nothing is demanded to
        repeat itself, and results say that they are not reproducible.
      parameters: what each action drives: for each action, by the number that the environment gives
        it, a list of boxes; `all` if each action drives all boxes; null where the action space
        tells it.
      omit: parts of the observation that are left out, such as a count of steps.
      seen: the range of each feature in random episodes, `low` and `high`; null has `setup` measure
        it. Bounds that it contradicts are not used.
    """

    kind: Literal["gymnasium"]
    id: str
    arguments: Arguments = Field(default="{}", json_schema_extra={"default": {}})
    copies: Count = 1
    training_copies: Annotated[Count, Field(le=MOST_COPIES)] = 1
    max_episode_steps: Count | None = None
    wrappers: Wrappers = Field(default="[]", json_schema_extra={"default": []})
    seeded: bool = True
    parameters: Drives = None
    omit: ListOf[PartName] = ()
    seen: Ranges = None

    def make(self, render_mode: str | None = None) -> Parameterised:
        """A new instance.

        Raises:
          EnvironmentFailure: it cannot be made.
          SettingsError: its spaces cannot be translated, or its episodes might never end.
        """
        try:
            made = self._made(render_mode)
            for wrapper in json.loads(self.wrappers):
                made = wrapped(made, wrapper.pop("name"), wrapper, self.id)
            if not self.seeded:
                made = Unseeded(made)
            return Parameterised(made, self.id, self._drives, self.omit, self._seen)
        except SettingsError as error:
            raise SettingsError(f"{self.id}: {error}") from None

    def _made(self, render_mode: str | None) -> gymnasium.Env:
        """What `gymnasium.make` makes."""
        arguments, spec = json.loads(self.arguments), environment_of(self.id)
        if spec is not None:
            check_arguments("arguments", spec.entry_point, **arguments)  # pyright: ignore[reportArgumentType]
        if render_mode is not None:  # not every constructor knows it
            arguments["render_mode"] = render_mode
        with theirs(self.id, "make"):
            # The checker gives advice on the first steps; what is wrong is raised without it.
            return gymnasium.make(
                spec or self.id, self.max_episode_steps, disable_env_checker=True, **arguments
            )

    def check(self) -> list[str]:
        """Has Gymnasium check that the environment keeps to the interface.

        Returns:
          What Gymnasium warns of, as far as results may depend on it.

        Raises:
          EnvironmentFailure: it does not.
        """
        with closing(self.make()) as made:
            return checked(made)

    @property
    def gymnasium_id(self) -> str:
        """What `gymnasium.make` takes."""
        return self.id

    @property
    def side_by_side(self) -> int:
        """How many of it training acts in."""
        return self.training_copies

    @property
    def token(self) -> object:
        """Its spaces, which are not in its settings."""
        return self._facts

    @property
    def actions(self) -> ActionSpec:
        """The action space."""
        return self._facts.actions.spec

    @property
    def observation_low(self) -> np.ndarray:
        """[S] lower bounds, infinite where there are none."""
        return self._observations.low

    @property
    def observation_high(self) -> np.ndarray:
        """[S] upper bounds, infinite where there are none."""
        return self._observations.high

    @property
    def observation_offset(self) -> np.ndarray | None:
        """[S] float64: what is subtracted of observations that float32 could not resolve."""
        return self._observations.offset

    @property
    def time_limit(self) -> int:
        """The time limit in actions, be it that of the settings or the registered one."""
        return self._facts.time_limit

    @property
    def render_modes(self) -> tuple[str, ...]:
        """In which ways it says that it draws."""
        return self._facts.render_modes

    def with_facts(self, facts: Mapping[str, Any]) -> Gymnasium:
        """The same environment, with the range of its observations that `setup` has measured."""
        if self.seen is not None:
            return self
        return Gymnasium.model_validate({**self.model_dump(), "seen": facts["seen"]})

    def describe(self) -> dict[str, Any]:
        """Its id, time limit and spaces as plain values, what actions drive, and what was seen."""
        described, observations = super().describe(), self._observations
        described["observation"] |= {
            "low": ends(observations.declared.low),
            "high": ends(observations.declared.high),
            "remarks": observations.remarks,
        }
        for action, driven in zip(
            described["actions"], self._facts.actions.described(), strict=True
        ):
            action |= driven
        if not self._facts.reproducible:
            described["reproducible"] = False
        return described | {"seen": self.seen and json.loads(self.seen)}

    @property
    def sources(self) -> set[str]:
        """The modules of what makes it, of its wrappers and of its package; our translation.

        As far as its registration names them: nothing is made for it.
        """
        package, _, name = self.id.rpartition(":")
        with theirs(self.id, "make"):
            if package:
                importlib.import_module(package)
            spec = environment_of(self.id) or self._registered(name)
        points = [spec.entry_point, *(wrapper.entry_point for wrapper in spec.additional_wrappers)]
        wrappers = [wrapper["name"] for wrapper in json.loads(self.wrappers)]
        # Where a wrapper is named and where it is written may be two modules.
        points += [name for name in wrappers if ":" in name]
        points += [wrapper_of(name, self.id) for name in wrappers]
        made = {module_of(point) for point in points if point}
        # Which of ours an environment of ours is, its entry point does not tell.
        ours = LISTS if any(module.startswith("pamdp.") for module in made) else ()
        return made | {*([package] if package else []), *ours, __name__, *TRANSLATION}

    def _registered(self, name: str) -> EnvSpec:
        """Its registration, of the newest version if its id names none."""
        try:
            return gymnasium.spec(name)
        except gymnasium.error.Error:
            with closing(self.make()) as made:
                if made.spec is None:
                    raise
                return made.spec

    @property
    def _drives(self) -> Any:
        if self.parameters in (None, "all"):
            return self.parameters
        return {int(number): names for number, names in json.loads(self.parameters).items()}

    @property
    def _seen(self) -> Seen | None:
        if self.seen is None:
            return None
        return Seen(**{name: np.array(row) for name, row in json.loads(self.seen).items()})

    @cached_property
    def _observations(self) -> Observations:
        return Observations.of(self._facts.observation_space, self.omit, self._seen)

    @cached_property
    def _facts(self) -> _Facts:
        # An instance is made once for all equal settings: that may take long. In a notebook their
        # names may come to stand for other objects.
        key, origin = self.model_dump_json(exclude={"seen"}), self._origin()
        known = _known.get(key)
        if known and [*map(id, known.origin)] == [*map(id, origin)]:
            return known
        with closing(self.make()) as made:
            space = made.env.observation_space
            with theirs(self.id, "make"):
                modes = tuple(made.metadata.get("render_modes", ()))
            facts = made.actions, space, made.time_limit, modes, made.reproducible
        _known[key] = _Facts(origin, *facts)
        return _known[key]

    def _origin(self) -> list[object]:
        """What its id and the names of its wrappers stand for now."""
        wrappers = [wrapper["name"] for wrapper in json.loads(self.wrappers)]
        try:
            return origin_of(self.id) + [wrapper_of(name, self.id) for name in wrappers]
        except SettingsError as error:
            raise SettingsError(f"{self.id}: {error}") from None

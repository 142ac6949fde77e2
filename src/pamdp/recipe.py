"""What a settings file says of one cell, changed and completed from Python."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium

from pamdp.base.component import leaves
from pamdp.base.errors import SettingsError, nearest
from pamdp.base.task import Task
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.learning.cell import Cell, CellName
from pamdp.learning.learner import LearnerSettings
from pamdp.learning.training import Training
from pamdp.settings import Settings, load, validated
from pamdp.stages.setup import measure

SHIPPED = Path(__file__).with_name("params.yaml")
OURS = "pamdp"  # the namespace of our environments in Gymnasium
GIVEN = "what `pamdp.cell` was given"


@dataclass(frozen=True, repr=False)
class Recipe:
    """A cell, and how it is trained, tuned and evaluated; `pamdp.cell` gives it.

    Attributes:
      settings: those of a study of this cell alone.
    """

    settings: Settings

    @property
    def cell(self) -> Cell:
        """The environment, the algorithm, the strategy and the hyper-parameters."""
        (only,) = self.settings.cells
        return only

    @property
    def name(self) -> CellName:
        """As text `environment-algorithm-strategy`."""
        return self.cell.name

    @property
    def task(self) -> Task:
        """The environment; `task.make()` gives its Gymnasium form."""
        return self.cell.task

    @property
    def learner(self) -> LearnerSettings:
        """The hyper-parameters."""
        return self.cell.learner

    @property
    def training(self) -> Training:
        """How long a seed is trained."""
        return self.settings.environments[self.name.environment].training

    def replace(self, changes: Mapping[str, Any]) -> Recipe:
        """The same with other values.

        Args:
          changes: values by their paths in a cell, such as `learner.gamma` or `strategy.factor`;
            besides there are `training.*`, `tuning.*` and `evaluation.*`.

        Raises:
          SettingsError: a path or a value is wrong.
        """
        values = self.settings.model_dump(mode="json")
        for path, value in changes.items():
            try:
                _set(values, self._located(path), value)
            except (KeyError, IndexError, TypeError, ValueError):
                known = [each for each, _ in leaves(self.cell)]
                raise SettingsError(
                    f"{path}: expected the path of a setting of {self.name}, received {path!r}"
                    f"{nearest(path, known)}"
                ) from None
        if any(path.split(".")[0] == "task" for path in changes) and "task.seen" not in changes:
            values["environments"][self.name.environment]["task"].pop("seen", None)
        return _measured(Recipe(validated(values, GIVEN)))

    def _located(self, path: str) -> list[str]:
        """The keys of a setting in the file."""
        first, *rest = path.split(".")
        environment, algorithm, strategy = self.name
        families = {
            "algorithm": ["algorithms", algorithm],
            "strategy": ["gradients", strategy],
            "tuning": ["tuning"],
            "evaluation": ["evaluation"],
        }
        return [*families.get(first, ["environments", environment, first]), *rest]

    def __repr__(self) -> str:
        """In a line."""
        return f"Recipe({self.name}, {self.training.steps:,} steps)"


def recipe(
    names: tuple[Any, str, str], changes: Mapping[str, Any], params: Path | str | None
) -> Recipe:
    """What `pamdp.cell` gives, whose arguments these are."""
    path = SHIPPED if params is None else Path(params)
    settings = load(path)
    values = settings.model_dump(mode="json")
    environment, algorithm, strategy = names
    blocks = values["environments"]
    if environment not in [*blocks]:
        block = blocks[settings.study.environments[0]]
        task = _task_of(environment, blocks)
        environment = _name_of(task)
        blocks[environment] = blocks.get(task.get("kind"), block | {"initial_parameters": None})
        blocks[environment] = blocks[environment] | {"task": task}
    values["study"] |= {
        "environments": [environment],
        "algorithms": [algorithm],
        "strategies": [strategy],
    }
    tuning = settings.tuning.of(CellName(environment, algorithm, strategy))
    # Without a search runs may be too short for one.
    values["tuning"] = tuning.model_dump(mode="json") | {"trials": 0, "use_trial": None}
    made = Recipe(validated(values, GIVEN))
    return made.replace(changes) if changes else _measured(made)


def _task_of(environment: Any, known: Collection[str]) -> dict[str, Any]:
    """What stands under `task` for an environment that the file does not name."""
    if isinstance(environment, Mapping):
        return dict(environment)
    if isinstance(environment, gymnasium.Env):
        return _task_of_made(environment)
    if isinstance(environment, type):
        return {
            "kind": "gymnasium",
            "id": f"{environment.__module__}:{environment.__qualname__}",
        }
    if str(environment).startswith(f"{OURS}/"):
        return dict(gymnasium.spec(environment).kwargs)
    if re.fullmatch(r"[a-z][a-z0-9_]*", str(environment)):
        raise SettingsError(
            f"environment: expected one of {', '.join(known)}, or the id of one in Gymnasium, "
            f"received {environment!r}{nearest(environment, known)}"
        )
    return {"kind": "gymnasium", "id": environment}


def _task_of_made(environment: gymnasium.Env) -> dict[str, Any]:
    """The same for what Gymnasium has made, by what it tells of that."""
    spec = environment.spec
    wrappers = () if spec is None else spec.additional_wrappers
    if spec is None or any(each.kwargs is None for each in wrappers):
        raise SettingsError(
            "environment: expected what `gymnasium.make` gave, and wrappers that tell their "
            f"arguments (gymnasium.utils.RecordConstructorArgs), received {environment}; name its "
            "class or its id, and its wrappers under `task.wrappers`"
        )
    arguments = {name: each for name, each in spec.kwargs.items() if name != "render_mode"}
    if spec.namespace == OURS and not wrappers:
        return arguments
    return {
        "kind": "gymnasium",
        "id": spec.id,
        "arguments": arguments,
        "max_episode_steps": spec.max_episode_steps,
        "wrappers": [{"name": each.entry_point, **(each.kwargs or {})} for each in wrappers],
    }


def _name_of(task: Mapping[str, Any]) -> str:
    """A name for it that may be part of a cell's: `my_package:Reach-v0` is `reach`."""
    title = re.split("[:/]", str(task.get("id", task.get("kind"))))[-1]
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"-v\d+$", "", title).lower())
    return f"own_{words}"[:36] if words[:1].isdigit() or not words.strip("_") else words[:36]


def _set(values: Any, keys: list[str], value: Any) -> None:
    """Puts a value where these keys lead to; whether the last one is known, validation tells."""
    for key in keys[:-1]:
        values = values[int(key) if isinstance(values, list) else key]
    values[int(keys[-1]) if isinstance(values, list) else keys[-1]] = value


def _measured(made: Recipe) -> Recipe:
    """The same with what random episodes show of a user's environment, as `setup` has it measured.

    It is done in this process: what a notebook has registered is known nowhere else.
    """
    task = made.task
    if not isinstance(task, Gymnasium) or task.seen is not None:
        return made
    facts: dict[str, Any] = {}

    def lines() -> Generator[str]:
        facts.update((yield from measure(task)))

    for line in lines():
        logging.getLogger("pamdp").info("%s: %s", made.name.environment, line)
    values = made.settings.model_dump(mode="json")
    seen = task.with_facts(facts).model_dump(mode="json")
    values["environments"][made.name.environment]["task"] = seen
    return Recipe(validated(values, GIVEN))

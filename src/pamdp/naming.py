"""Which task and which block of params.yaml is meant by what a user names an environment with."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import closing
from typing import Any

import gymnasium
from pydantic import TypeAdapter, ValidationError

from pamdp.base.component import structure
from pamdp.base.environment import Environment
from pamdp.base.errors import SettingsError, nearest
from pamdp.base.task import Task
from pamdp.bridge.failures import theirs
from pamdp.bridge.tasks import AnyTask
from pamdp.settings import Settings

OURS = "pamdp"  # the namespace of our environments in Gymnasium
# Layers that change nothing of what is learned, and that `gymnasium.make` adds as it is asked to.
NEUTRAL = (gymnasium.wrappers.OrderEnforcing, gymnasium.wrappers.PassiveEnvChecker)


def task_of(environment: Any, known: Collection[str]) -> dict[str, Any]:
    """What stands under `task` for an environment that the file does not name.

    Args:
      environment: an id, a class, what `gymnasium.make` gave, or that itself.
      known: the names in the file.

    Raises:
      SettingsError: it is none of these, or cannot be expressed.
    """
    if isinstance(environment, Mapping):
        return dict(environment)
    if isinstance(environment, gymnasium.Env):
        return _task_of_made(environment)
    if isinstance(environment, type):
        return _task_of_class(environment)
    if not isinstance(environment, str):
        raise SettingsError(
            f"environment: expected a name, an id in Gymnasium, a class, what `gymnasium.make` "
            f"gave, or a mapping, received {environment!r}"
        )
    if environment.startswith(f"{OURS}/"):
        return _task_of_ours(environment)
    if re.fullmatch(r"[a-z][a-z0-9_]*", environment):
        raise SettingsError(
            f"environment: expected one of {', '.join(known)}, or the id of one in Gymnasium, "
            f"received {environment!r}{nearest(environment, known)}"
        )
    return {"kind": "gymnasium", "id": environment}


def block_of(task: Mapping[str, Any], settings: Settings) -> str | None:
    """The name of the block whose task this is; None for a user's own that has none.

    Of several the first; one with the same floats, such as `noise`, goes before others.

    Raises:
      SettingsError: it is one of ours, and the file does not say how it is learned.
    """
    try:
        asked: Task = TypeAdapter(AnyTask).validate_python(_unseen(task))
    except ValidationError:  # which is told where the settings are validated
        return None
    known = {name: block.task for name, block in settings.environments.items()}
    tasks = {name: type(each).model_validate(_unseen(each)) for name, each in known.items()}
    same = [name for name, each in tasks.items() if structure(each) == structure(asked)]
    equal = [name for name in same if tasks[name] == asked]
    if not same and isinstance(asked, Environment):
        raise SettingsError(
            f"environment: expected a task for which the file says how it is learned, that of one "
            f"of {', '.join(known)}, received {asked.gymnasium_id} with {dict(task)}; write a "
            "block for it into a file of yours, and give that as `params`"
        )
    return next(iter([*equal, *same]), None)


def name_of(task: Mapping[str, Any]) -> str:
    """A name for it that may be part of a cell's: `my_package:Reach-v0` is `reach`."""
    title = re.split("[:/]", str(task.get("id", task.get("kind"))))[-1]
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"-v\d+$", "", title).lower())
    return f"own_{words}"[:36] if words[:1].isdigit() or not words.strip("_") else words[:36]


def _unseen(task: Any) -> dict[str, Any]:
    """Its settings without what was measured."""
    values = dict(task) if isinstance(task, Mapping) else task.model_dump()
    return {name: value for name, value in values.items() if name != "seen"}


def _task_of_ours(identifier: str) -> dict[str, Any]:
    try:
        return dict(gymnasium.spec(identifier).kwargs)
    except gymnasium.error.Error:
        ours = [name for name in gymnasium.registry if name.startswith(f"{OURS}/")]
        raise SettingsError(
            f"environment: expected one of {', '.join(ours)}, received {identifier!r}"
            f"{nearest(identifier, ours)}"
        ) from None


def _task_of_class(environment: type) -> dict[str, Any]:
    module, name = environment.__module__, environment.__qualname__
    if "." in name:
        raise SettingsError(
            f"environment: expected a class at the top of a module, where it can be found by its "
            f"name, received {name} of {module}; put it there"
        )
    return {"kind": "gymnasium", "id": f"{module}:{name}"}


def _task_of_made(environment: gymnasium.Env) -> dict[str, Any]:
    """What stands under `task` for what Gymnasium has made, by what its layers tell of that."""
    spec, layers = environment.spec, _layers(environment)
    if spec is None or any(arguments is None for _, arguments in layers):
        raise SettingsError(
            "environment: expected what `gymnasium.make` gave, and wrappers that tell their "
            f"arguments (gymnasium.utils.RecordConstructorArgs), received {environment}; name its "
            "class or its id, and its wrappers under `task.wrappers`"
        )
    arguments = {name: each for name, each in spec.kwargs.items() if name != "render_mode"}
    limits = [each["max_episode_steps"] for name, each in layers if each and name == "TimeLimit"]
    # The innermost limit may be that of `make`, or stand further out where `make` adds none.
    for limit in dict.fromkeys([*limits[:1], None]):
        with theirs(spec.id, "make"):
            made = gymnasium.make(spec.id, limit, disable_env_checker=True, **arguments)
            with closing(made):
                inner = _layers(made)
        if str(layers[: len(inner)]) == str(inner):  # arguments may be arrays
            break
    else:
        raise SettingsError(
            f"environment: expected {spec.id} with the layers that `gymnasium.make` gives it, and "
            f"wrappers around them, received {environment}; a registered time limit can be "
            "another one, and cannot be none"
        )
    own = layers[len(inner) :]
    if spec.namespace == OURS and not own and limit == gymnasium.spec(spec.id).max_episode_steps:
        return arguments
    return {
        "kind": "gymnasium",
        "id": spec.id,
        "arguments": arguments,
        "max_episode_steps": limit,
        "wrappers": [{"name": name, **(each or {})} for name, each in own],
    }


def _layers(environment: gymnasium.Env) -> list[tuple[str, dict[str, Any] | None]]:
    """The wrappers from the innermost on, as names and arguments; None for what does not tell."""
    layers: list[tuple[str, dict[str, Any] | None]] = []
    layer = environment
    while isinstance(layer, gymnasium.Wrapper):
        name, spec, inner = type(layer).__name__, layer.spec, layer.env.spec
        if spec and inner and len(spec.additional_wrappers) > len(inner.additional_wrappers):
            last = spec.additional_wrappers[-1]
            layers.append((last.entry_point, last.kwargs))
        elif spec and type(layer) is gymnasium.wrappers.TimeLimit:
            layers.append((name, {"max_episode_steps": spec.max_episode_steps}))
        elif type(layer) not in NEUTRAL:
            layers.append((name, None))
        layer = layer.env
    return layers[::-1]

"""What settings name of a user's code, `module:name`, and the wrappers of Gymnasium, by name.

Settings name environments and wrappers and nothing else, and modules of the standard library are
no place for one: so a file of settings calls nothing that was not written as such.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium
from gymnasium.envs.registration import (
    EnvSpec,
    find_highest_version,
    get_env_id,
    load_env_creator,
    parse_env_id,
)

from pamdp.base.errors import SettingsError, nearest
from pamdp.bridge.failures import theirs

WRAPPERS = tuple(sorted(name for name in gymnasium.wrappers.__all__ if name != "vector"))
OWN = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")


def environment_of(identifier: str) -> EnvSpec | None:
    """The specification of a class or function `module:name` that makes an environment.

    Args:
      identifier: such a name, or an id of Gymnasium; what a module registers goes first.

    Returns:
      None for an id.

    Raises:
      SettingsError: the module has no such name.
      EnvironmentFailure: the module cannot be imported.
    """
    own = OWN.fullmatch(identifier)
    if own is None:
        return None
    with theirs(identifier, "make"):
        module = _imported(own["module"])
    if own["name"] in gymnasium.registry or find_highest_version(None, own["name"]) is not None:
        return None
    return EnvSpec(identifier, entry_point=_attribute(module, own["name"], "id"))


def origin_of(identifier: str) -> list[object]:
    """What stands behind an id now, as objects that are others once it stands for something else.

    A notebook may define a class or register an id again.

    Args:
      identifier: as above.

    Returns:
      What is called, and its registration if it has one; empty for an unknown id.

    Raises:
      SettingsError: as above.
      EnvironmentFailure: as above.
    """
    own = environment_of(identifier)
    if own is not None:
        return [own.entry_point]
    package, _, name = identifier.rpartition(":")
    with theirs(identifier, "make"):
        if package:
            importlib.import_module(package)
        space, title, version = parse_env_id(name)
        if version is None:
            name = get_env_id(space, title, find_highest_version(space, title))
        spec = gymnasium.registry.get(name)
        if spec is None:
            return []
        point = spec.entry_point
        return [spec, load_env_creator(point) if isinstance(point, str) else point]


def wrapped(
    made: gymnasium.Env, name: str, arguments: Mapping[str, Any], identifier: str
) -> gymnasium.Env:
    """An environment within a wrapper.

    Args:
      made: the environment.
      name: one of `WRAPPERS`, or a user's own class or function `module:name`.
      arguments: of the wrapper besides the environment.
      identifier: of the environment, for messages.

    Raises:
      SettingsError: there is no such wrapper, it takes other arguments, or it makes something else.
      EnvironmentFailure: it fails.
    """
    wrapper = wrapper_of(name, identifier)
    check_arguments(f"wrappers: {name}", wrapper, made, **arguments)
    with theirs(identifier, "wrapper {}", name):
        outer = wrapper(made, **arguments)
    if not isinstance(outer, gymnasium.Env):
        raise SettingsError(
            f"wrappers: expected an environment from {name}, received {type(outer).__name__}"
        )
    return outer


def wrapper_of(name: str, identifier: str) -> Callable[..., Any]:
    """What a wrapper's name stands for."""
    own = OWN.fullmatch(name)
    with theirs(identifier, "wrapper {}", name):
        if own is None:
            return getattr(gymnasium.wrappers, name)
        module = _imported(own["module"])
    return _attribute(module, own["name"], "wrappers")


def check_arguments(where: str, function: Callable, *given: Any, **arguments: Any) -> None:
    """Compares arguments of settings with what a class or function takes.

    Raises:
      SettingsError: it takes others.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # not every one has any
        return
    try:
        signature.bind(*given, **arguments)
    except TypeError as error:
        taken = [*signature.parameters][len(given) :]
        raise SettingsError(
            f"{where}: expected its arguments ({', '.join(taken) or 'it has none'}), received "
            f"{', '.join(arguments) or 'none'}: {error}"
        ) from None


def module_of(entry_point: Any) -> str:
    """The module of what is named `module:name`, or of a class or function."""
    while isinstance(entry_point, partial):
        entry_point = entry_point.func
    return entry_point.partition(":")[0] if isinstance(entry_point, str) else entry_point.__module__


def _imported(module: str) -> Any:
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise SettingsError(
            f"expected a module of your own or of an installed package, received {module} of the "
            "standard library"
        )
    return importlib.import_module(module)


def _attribute(module: Any, name: str, setting: str) -> Any:
    found = getattr(module, name, None)
    if callable(found):
        return found
    known = [other for other, value in vars(module).items() if callable(value)]
    raise SettingsError(
        f"{setting}: expected a class or function of the module {module.__name__}, received "
        f"{name}, which is none of it{nearest(name, known)}"
    )

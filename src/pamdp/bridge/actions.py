"""Actions as our environments are given them, one or those of many copies, checked."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from pamdp.base.spaces import ActionSpec


def parsed(spec: ActionSpec, action: Any) -> tuple[int, np.ndarray]:
    """The action's index and its own parameters, [m_k] float32.

    Raises:
      ValueError: the action has not the form of the action space.
    """
    given, blocks = _parted(spec, action, "action", "index")
    try:
        index = operator.index(given)
    except TypeError:
        index = -1
    if not 0 <= index < spec.num_actions:
        names = ", ".join(known.name for known in spec.actions)
        raise ValueError(
            f"action[0]: expected an index from 0 to {spec.num_actions - 1}, one of {names}, "
            f"received {given!r}"
        )
    name, size = spec.actions[index].name, spec.sizes[index]
    expected = f"action[1][{index}]: expected {size} finite numbers, the parameters of {name}"
    return index, _finite(blocks[index], (size,), ..., expected)


def parsed_all(spec: ActionSpec, actions: Any, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The actions' indices [N] and their own parameters [N, m] float32, padded.

    Raises:
      ValueError: the actions have not the form of the action space.
    """
    given, blocks = _parted(spec, actions, "actions", "indices")
    index = np.asarray(given)
    fits = index.shape == (number,) and index.dtype.kind in "iu"
    if not fits or index.min() < 0 or index.max() >= spec.num_actions:
        raise ValueError(
            f"actions[0]: expected {number} indices from 0 to {spec.num_actions - 1}, received "
            f"{given!r}"
        )
    padded = np.zeros([number, spec.max_size], np.float32)
    for k in np.unique(index):
        size, taken = spec.sizes[k], index == k
        expected = (
            f"actions[1][{k}]: expected finite numbers [{number}, {size}], the parameters of "
            f"{spec.actions[k].name}"
        )
        padded[taken, :size] = _finite(blocks[k], (number, size), taken, expected)[taken]
    return index.astype(int), padded


def _parted(spec: ActionSpec, given: Any, name: str, first: str) -> tuple[Any, Sequence[Any]]:
    """The two parts of one action, or of those of many copies: indices, and parameters of each.

    Args:
      spec: the action space.
      given: what is to be carried out.
      name: of the argument, for messages.
      first: what its first part is, likewise.

    Raises:
      ValueError: it has not these parts.
    """
    names = ", ".join(known.name for known in spec.actions)
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ValueError(
            f"{name}: expected a pair ({first}, (parameters of {names})), received {given!r}"
        )
    index, blocks = given
    if not isinstance(blocks, (tuple, list)) or len(blocks) != spec.num_actions:
        raise ValueError(
            f"{name}[1]: expected a tuple of {spec.num_actions} arrays, the parameters of {names}, "
            f"received {blocks!r}"
        )
    return index, blocks


def _finite(given: Any, shape: tuple[int, ...], used: Any, expected: str) -> np.ndarray:
    """Parameters as float32 of a shape.

    Args:
      given: what is to be carried out.
      shape: that it must have.
      used: the index of what has an effect; the rest may be anything.
      expected: for messages.

    Raises:
      ValueError: they are of another shape, or no finite numbers.
    """
    try:
        parameters = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        parameters = np.full(shape, np.nan, np.float32)
    if parameters.shape != shape or not np.isfinite(parameters[used]).all():
        raise ValueError(f"{expected}, received {given!r}")
    return parameters

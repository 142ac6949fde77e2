"""What is kept of trainings: checkpoints of those under way, and the weights that they gave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.base.component import leaves
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.files import damaged, read_arrays, reading, write_arrays
from pamdp.learning.training import Checkpoint


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; the old file stays until it is done."""
    arrays = {str(index): leaf for index, leaf in enumerate(checkpoint.leaves)}
    write_arrays(path, arrays | {"points": np.array(json.dumps(checkpoint.points))})


def restore(path: Path) -> Checkpoint | None:
    """Reads a checkpoint; None if there is no such file, or none that is whole."""
    with suppress(PamdpError):
        arrays = read_arrays(path)
        with reading(path):
            points = json.loads(str(arrays.pop("points")))
            return Checkpoint([arrays[str(index)] for index in range(len(arrays))], points)
    return None


def save_weights(path: Path, weights: Mapping[int, Any]) -> None:
    """Writes the weights of all seeds as one file, arrays `<seed>/<number of the leaf>`."""
    arrays: dict[str, Any] = {
        f"{seed}/{index}": leaf
        for seed, nest in weights.items()
        for index, (_, leaf) in enumerate(leaves(nest))
    }
    write_arrays(path, arrays)


def read_weights(path: Path) -> dict[int, list[np.ndarray]]:
    """Reads what `save_weights` wrote: by seed, the leaves of the nest.

    Raises:
      Damaged: it cannot be read, or holds what is no number.
    """
    arrays = read_arrays(path)
    with reading(path):
        seeds = dict.fromkeys(int(name.split("/")[0]) for name in arrays)
        lost = [name for name, array in arrays.items() if np.isnan(array).any()]
    if lost or not seeds:
        raise damaged(path, f"no numbers in {', '.join(lost[:3])}" if lost else "it is empty")
    with reading(path):
        return {
            seed: [arrays[f"{seed}/{index}"] for index in range(len(arrays) // len(seeds))]
            for seed in seeds
        }


def packed(found: Sequence[np.ndarray], like: Any, where: str) -> Any:
    """Leaves as a nest of the structure of `like`.

    Args:
      found: the leaves.
      like: tensors, or their shapes and types.
      where: they stand, for messages.

    Raises:
      PamdpError: they have other shapes.
    """
    if [leaf.shape for leaf in found] != [tuple(leaf.shape) for leaf in tf.nest.flatten(like)]:
        raise PamdpError(
            f"{where}: expected weights of the networks that params.yaml describes, received those "
            "of others; train anew with `dvc repro`"
        )
    return tf.nest.pack_sequence_as(like, found)

"""What is kept of trainings: checkpoints of those under way, and the weights that they gave."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.files import read_arrays, write_arrays
from pamdp.learning.training import Checkpoint

# What reading raises if there is no file, or one that was cut short or overwritten.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; the old file stays until it is done."""
    arrays = {str(index): leaf for index, leaf in enumerate(checkpoint.leaves)}
    write_arrays(path, arrays | {"points": np.array(json.dumps(checkpoint.points))})


def restore(path: Path) -> Checkpoint | None:
    """Reads a checkpoint; None if there is no such file, or none that is whole."""
    try:
        arrays = read_arrays(path)
        points = json.loads(str(arrays.pop("points")))
        return Checkpoint([arrays[str(index)] for index in range(len(arrays))], points)
    except DAMAGED:
        return None


def save_weights(path: Path, weights: Mapping[int, Any]) -> None:
    """Writes the weights of all seeds as one file, arrays `<seed>/<number of the leaf>`."""
    arrays: dict[str, Any] = {
        f"{seed}/{index}": leaf
        for seed, nest in weights.items()
        for index, leaf in enumerate(tf.nest.flatten(nest))
    }
    write_arrays(path, arrays)


def load_weights(path: Path, like: Any) -> dict[int, Any]:
    """Reads what `save_weights` wrote: by seed, nests of the structure of `like`.

    Raises:
      PamdpError: what was written has other shapes.
    """
    arrays = read_arrays(path)
    seeds = dict.fromkeys(int(name.split("/")[0]) for name in arrays)
    shapes = [tuple(leaf.shape) for leaf in tf.nest.flatten(like)]
    if [array.shape for array in arrays.values()] != shapes * len(seeds):
        raise PamdpError(
            f"{path}: expected weights of the networks that params.yaml describes, received those "
            "of others; train anew with `dvc repro`"
        )
    return {
        seed: tf.nest.pack_sequence_as(like, [arrays[f"{seed}/{i}"] for i in range(len(shapes))])
        for seed in seeds
    }

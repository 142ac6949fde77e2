"""Saving and restoring a nest of tensors, atomically. No pickle."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.lazy import tf
from pamdp.problems import SettingsError

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


def save(path: Path, state: Any, notes: Any) -> None:
    """Writes a nest of tensors and JSON-serialisable notes; the old file stays until it is done."""
    arrays: dict[str, Any] = {str(i): np.asarray(x) for i, x in enumerate(tf.nest.flatten(state))}
    arrays["notes"] = np.array(json.dumps(notes))
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def restore(path: Path, like: Any) -> tuple[Any, Any] | None:
    """Reads a nest of the structure of `like` and its notes.

    Returns:
      None if there is no such file, or none that is whole and fits.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            notes = json.loads(str(archive["notes"]))
            leaves = [archive[str(i)] for i in range(len(archive.files) - 1)]
    except DAMAGED:
        return None
    expected = [(tuple(x.shape), np.dtype(x.dtype.as_numpy_dtype)) for x in tf.nest.flatten(like)]
    if [(leaf.shape, leaf.dtype) for leaf in leaves] != expected:
        return None
    return tf.nest.pack_sequence_as(like, [tf.constant(leaf) for leaf in leaves]), notes


def save_weights(path: Path, weights: Mapping[int, Any]) -> None:
    """Writes the weights of all seeds as one file, arrays `<seed>/<number of the leaf>`."""
    arrays: dict[str, Any] = {
        f"{seed}/{index}": leaf
        for seed, nest in weights.items()
        for index, leaf in enumerate(tf.nest.flatten(nest))
    }
    save_arrays(path, arrays)


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as an .npz file whose bytes depend on them alone.

    `np.savez` does not know the sizes beforehand, and how a zip file says that varies between
    releases of Python.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


def load_weights(path: Path, like: Any) -> dict[int, Any]:
    """Reads what `save_weights` wrote: by seed, nests of the structure of `like`.

    Raises:
      SettingsError: what was written has other shapes.
    """
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    seeds = dict.fromkeys(int(name.split("/")[0]) for name in arrays)
    shapes = [tuple(leaf.shape) for leaf in tf.nest.flatten(like)]
    if [array.shape for array in arrays.values()] != shapes * len(seeds):
        raise SettingsError(
            f"{path}: expected weights of the networks that params.yaml describes, received those "
            "of others; train anew with `dvc repro`"
        )
    return {
        seed: tf.nest.pack_sequence_as(like, [arrays[f"{seed}/{i}"] for i in range(len(shapes))])
        for seed in seeds
    }

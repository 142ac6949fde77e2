"""Saving and restoring a nest of tensors, atomically. No pickle."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.lazy import tf


def save(path: Path, state: Any, notes: Any) -> None:
    """Writes a nest of tensors and JSON-serialisable notes; the old file stays until it is done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {str(i): np.asarray(leaf) for i, leaf in enumerate(tf.nest.flatten(state))}
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        np.savez(file, notes=np.array(json.dumps(notes)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def restore(path: Path, like: Any) -> tuple[Any, Any] | None:
    """Reads a nest of the structure of `like` and its notes.

    Returns:
      None if there is no such file, or none that is whole and fits.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            notes = json.loads(str(archive["notes"]))
            leaves = [archive[str(i)] for i in range(len(archive.files) - 1)]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    expected = [(leaf.shape, leaf.dtype.as_numpy_dtype) for leaf in tf.nest.flatten(like)]
    if [(leaf.shape, leaf.dtype) for leaf in leaves] != [(tuple(s), np.dtype(d)) for s, d in expected]:
        return None
    return tf.nest.pack_sequence_as(like, [tf.constant(leaf) for leaf in leaves]), notes

"""Files, written whole or not at all, whose bytes depend on their content alone."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a scratch file beside a file, and puts it in its place at the end.

    The old file stays as it is until the new one is complete and on the disk, and if there is an
    error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as JSON: sorted keys, shortest floats, one trailing newline.

    Raises:
      ValueError: it holds NaN or infinity, which JSON has not; what is missing is null.
    """
    with replacing(path) as scratch:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        scratch.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Writes a table, its header first; a missing value is an empty field."""
    with replacing(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as an .npz file.

    `np.savez` does not know the sizes beforehand, and how a zip file says that varies between
    releases of Python.
    """
    with replacing(path) as scratch, zipfile.ZipFile(scratch, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}

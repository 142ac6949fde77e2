"""Files, written whole or not at all, whose bytes depend on their content alone."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shlex
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydantic import TypeAdapter, ValidationError

from pamdp.base.errors import Damaged, PamdpError

_numbers = count()  # of scratch files; threads of a process may write files of one name
# What reading raises of a file that was cut short, overwritten, or is none of ours.
FAULTS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,  # np.load gives a file of a single array as it is
    EOFError,
    RuntimeError,  # RecursionError, too
    MemoryError,  # a size that was overwritten
    zipfile.BadZipFile,
    zlib.error,
)
# These are the machine's: the file may be whole.
NOT_NOW = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Around what reads a file: says what is wrong with it, and the way out.

    Raises:
      PamdpError: there is none.
      Damaged: it cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise missing(path, "a file") from None
    except FAULTS as error:
        if isinstance(error, OSError) and error.errno in NOT_NOW:
            error.filename = str(path)
            raise
        raise damaged(path, error) from error


def missing(path: Path, what: str) -> PamdpError:
    """The error about something that is not there."""
    if stage := _stage_of(path):
        return PamdpError(
            f"{path}: expected what `{stage}` writes, found none; `dvc repro {stage}` makes it"
        )
    return PamdpError(f"{path}: expected {what}, received none")


def damaged(path: Path, wrong: Exception | str) -> Damaged:
    """The error about a file that cannot be read."""
    if isinstance(wrong, PermissionError):
        return Damaged(f"{path}: may not be read; `chmod -R u+rwX` gives you the right to")
    if isinstance(wrong, OSError):
        wrong = wrong.strerror or str(wrong)
    if isinstance(wrong, KeyError):
        wrong = f"it lacks {wrong}"
    if isinstance(wrong, ValidationError):
        first = wrong.errors()[0]
        wrong = ": ".join([".".join(map(str, first["loc"])), first["msg"]])
    reason = " ".join(str(wrong).split())[:200] or type(wrong).__name__
    way_out = "restore it, or move it away"
    if stage := _stage_of(path):
        way_out = (
            f"`dvc checkout --force {shlex.quote(os.path.relpath(path))}` restores what DVC has "
            f"kept, `pamdp study --force {stage}` makes it anew"
        )
    return Damaged(f"{path}: expected a whole file, received a damaged one ({reason}); {way_out}")


def _stage_of(path: Path) -> str | None:
    """The stage of dvc.yaml that writes a file; None if it lies where none does."""
    parts = path.absolute().parts
    roots = [each for each in path.absolute().parents if (each / "params.yaml").is_file()]
    inside = parts[len(roots[0].parts) :] if roots else parts
    for index, part in reversed([*enumerate(inside)]):
        if part == "models":
            return "export"
        if part == "metrics":
            stage, cell = (*inside[index + 1 :], "", "")[:2]
            return f"{stage}@{cell}" if stage in ("tune", "train") else stage
    return None


def local(folder: Path | str) -> Path:
    """A folder of this machine.

    Raises:
      PamdpError: it is an address, or a file.
    """
    if "://" in str(folder):
        raise PamdpError(
            f"{folder}: expected a folder of this machine, received an address; write into a "
            "folder, and copy that"
        )
    path = Path(folder)
    there = next((each for each in (path, *path.parents) if each.exists()), path)
    if there.exists() and not there.is_dir():
        raise PamdpError(f"{folder}: expected a folder, received the file {there}")
    return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the file's name to errors of the system that have none: a full disk, say."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a scratch file, and puts the file in its place at the end.

    The old file stays as it is until the new one is complete and on the disk, and if there is an
    error. The scratch file of a checkout stands in its folder `.work`: what is left of it, if the
    process is killed meanwhile, is no part of any output.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch_folder(path) / f".{path.name}.{os.getpid()}-{next(_numbers)}"
    try:
        with naming(path):
            yield scratch
            with scratch.open("rb") as file:
                os.fsync(file.fileno())
            _move(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _move(scratch: Path, path: Path) -> None:
    """Puts a file in the place of another, all at once."""
    try:
        scratch.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A folder of its own among the mounted ones, though on the same disk.
        beside = path.with_name(scratch.name)
        try:
            shutil.copyfile(scratch, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def forget_scratch(root: Path) -> None:
    """Removes the scratch files of a checkout that killed processes have left."""
    for path in (root / ".work" / "scratch").glob(".*"):
        match = re.fullmatch(r"\..*\.(\d+)-\d+", path.name)
        if match and not psutil.pid_exists(int(match[1])):
            path.unlink(missing_ok=True)


def _scratch_folder(path: Path) -> Path:
    """A folder on the same disk as a file, in the work folder of its checkout if it has one."""
    folder = path.absolute().parent
    for root in (folder, *folder.parents):
        if (root / "params.yaml").is_file():
            scratch = root / ".work" / "scratch"
            scratch.mkdir(parents=True, exist_ok=True)
            return scratch if scratch.stat().st_dev == folder.stat().st_dev else folder
    return folder


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as JSON: sorted keys, shortest floats, one trailing newline.

    Raises:
      ValueError: it holds NaN or infinity, which JSON has not; what is missing is null.
    """
    with replacing(path) as scratch:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        scratch.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, like: Any = Any) -> Any:
    """Reads a JSON file.

    Args:
      path: of the file.
      like: the type that its content must have, such as `dict[str, float]`.

    Raises:
      Damaged: it cannot be read, or is of another type.
    """
    with reading(path):
        value = json.loads(path.read_text(encoding="utf-8"))
        _adapter(like).validate_python(value)
    return value


@cache
def _adapter(like: Any) -> TypeAdapter:
    return TypeAdapter(like)


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
    """Reads all arrays of an .npz file.

    Raises:
      Damaged: it cannot be read.
    """
    with reading(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}

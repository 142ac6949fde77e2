"""Runs tasks on a node of a cluster: in the worker processes that Ray starts there."""

from __future__ import annotations

import atexit
import hashlib
import importlib
import os
import pickle
import platform
import resource
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from pamdp.base.errors import PamdpError
from pamdp.base.lazy import prepare_process
from pamdp.base.processor import keep_programs, processor
from pamdp.engines.base import portable, steps
from pamdp.provenance import RESULT_PACKAGES


class Identity(NamedTuple):
    """What has to be the same on all nodes.

    Attributes:
      versions: of Python and of packages, by name, and the kind of processor.
      code: a hash of this package's modules.
    """

    versions: dict[str, str]
    code: str


class Parcel(NamedTuple):
    """What travels to a worker.

    Attributes:
      files: a user's modules, which are not installed, by their paths.
      modules: what is imported before the task is unpickled.
      task: pickled, the task, its arguments and the type of events from which it can go on.
    """

    files: dict[str, bytes]
    modules: tuple[str, ...]
    task: bytes


@cache
def identity() -> Identity:
    """What this process runs."""
    versions = {name: version_of(name) for name in ("pamdp", *RESULT_PACKAGES)}
    versions |= {"python": platform.python_version(), "processor": processor()}
    folder, total = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return Identity(versions, total.hexdigest())


def version_of(name: str) -> str:
    """The installed version of a package, or `none`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def check(expected: Identity) -> None:
    """Compares what the coordinator runs with what runs here.

    Raises:
      PamdpError: something is different.
    """
    own = identity()
    found = {name: own.versions.get(name) or version_of(name) for name in expected.versions}
    other = [
        f"{name} {wanted}, received {found[name]}"
        for name, wanted in expected.versions.items()
        if found[name] != wanted
    ]
    if not other and own.code != expected.code:
        other = [f"pamdp's code {expected.code[:12]}, received {own.code[:12]}"]
    if other:
        raise PamdpError(
            f"node {socket.gethostname()}: expected what the coordinator runs, {'; '.join(other)}; "
            "install the same on all nodes, as results may differ"
        )


def run(content: bytes, turns: bool) -> Iterator[tuple[str, Any, int]]:
    """Runs a task.

    Args:
      content: a `Parcel`, pickled.
      turns: whether it ends at the first event from which it can go on, as others wait for a
        worker.

    Yields:
      `event` with each of its events; in the end `result` with its result, `error` with the error
      that ended it, or `turn`. Beside it stand the bytes of memory that the process took at most.
    """
    _prepare()
    try:
        parcel: Parcel = pickle.loads(content)  # noqa: S301  from the coordinator, a moment ago
        _place(parcel.files)
        for name in parcel.modules:
            importlib.import_module(name)
        task, arguments, resumes = pickle.loads(parcel.task)  # noqa: S301  likewise
    except (ImportError, AttributeError) as error:
        told = PamdpError(
            f"node {socket.gethostname()}: expected the modules that the environment needs, "
            f"received: {error}; install them on all nodes. What a script or a notebook defines "
            "itself cannot travel: write it into a module"
        )
        yield "error", told, _peak()
        return
    generator = steps(task, arguments)
    while True:
        try:
            event = next(generator)
        except StopIteration as end:
            yield "result", end.value, _peak()
            return
        except BaseException as error:  # noqa: BLE001  raised again where results are waited for
            told = portable(error)
            told.add_note(f"On node {socket.gethostname()}.")
            yield "error", told, _peak()
            return
        yield "event", event, _peak()
        if turns and resumes is not None and isinstance(event, resumes):
            generator.close()
            yield "turn", None, _peak()
            return


def _place(files: Mapping[str, bytes]) -> None:
    """Puts modules of a user where they are found by their names."""
    if files:
        _folder_of(tuple(sorted(files.items())))


@cache
def _folder_of(files: Iterable[tuple[str, bytes]]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pamdp-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@cache
def _prepare() -> None:
    """Sets up the process: one core, and compiled programs that are kept on the node."""
    prepare_process()
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    folder = Path(tempfile.gettempdir(), f"pamdp-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    if private and found.st_uid == os.getuid():  # nobody else has made it: programs are run from it
        keep_programs(folder)

"""What runs a task on a node of a cluster, and tells what came of it."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import resource
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from pamdp.base.errors import PamdpError
from pamdp.base.lazy import prepare_process
from pamdp.base.processor import processor
from pamdp.engines.base import portable, steps

PACKAGES = (
    "pamdp",
    "gymnasium",
    "numpy",
    "optuna",
    "tensorflow",
)  # whose versions results depend on
CACHE = "--tf_xla_persistent_cache_directory"


class Identity(NamedTuple):
    """What has to be the same on all nodes.

    Attributes:
      versions: of Python and of packages, by name, and the kind of processor.
      code: a hash of this package's modules.
    """

    versions: dict[str, str]
    code: str


@cache
def identity() -> Identity:
    """What this process runs."""
    versions = {name: _version(name) for name in PACKAGES}
    versions |= {"python": platform.python_version(), "processor": processor()}
    folder, total = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return Identity(versions, total.hexdigest())


def agree(expected: Identity) -> None:
    """Compares what the coordinator runs with what runs here.

    Raises:
      PamdpError: something is different.
    """
    own, node = identity(), socket.gethostname()
    other = [
        f"{name} {wanted}, received {own.versions.get(name)}"
        for name, wanted in expected.versions.items()
        if own.versions.get(name) != wanted
    ]
    if not other and own.code != expected.code:
        other = [f"pamdp's code {expected.code[:12]}, received {own.code[:12]}"]
    if other:
        raise PamdpError(
            f"node {node}: expected what the coordinator runs, {'; '.join(other)}; install the "
            "same on all nodes, as results may differ"
        )


def run(content: bytes, turns: bool) -> Iterator[tuple[str, Any, int]]:
    """Runs a task.

    Args:
      content: pickled, the user's modules by their paths, and what is unpickled once they are
        there: the task, its arguments and the type of events from which it can go on.
      turns: whether it ends at the first of these, as others wait for a worker.

    Yields:
      `event` with each of its events; in the end `result` with its result, `error` with the error
      that ended it, or `turn`. Beside it stand the bytes of memory that the process took at most.
    """
    _prepare()
    try:
        modules, work = pickle.loads(content)  # noqa: S301  from the coordinator, a moment ago
        _place(modules)
        task, arguments, resumes = pickle.loads(work)  # noqa: S301  likewise
    except ImportError as error:
        told = PamdpError(
            f"node {socket.gethostname()}: expected the modules that the environment needs, "
            f"received none: {error}; install them on all nodes"
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
            yield "error", portable(error), _peak()
            return
        yield "event", event, _peak()
        if turns and resumes is not None and isinstance(event, resumes):
            generator.close()
            yield "turn", None, _peak()
            return


def _place(modules: Mapping[str, bytes]) -> None:
    """Puts modules of a user where they are found by their names."""
    digest = hashlib.sha256(pickle.dumps(sorted(modules.items()))).hexdigest()
    folder = Path(tempfile.gettempdir(), f"pamdp-{os.getuid()}", "code", digest)
    if str(folder) in sys.path or not modules:
        return
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent))
        for name, content in modules.items():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).write_bytes(content)
        with suppress(OSError):  # another worker was faster
            scratch.rename(folder)
    sys.path.insert(0, str(folder))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@cache
def _prepare() -> None:
    """Sets up the process: one core, and compiled programs that are kept on the node."""
    prepare_process()
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    folder = Path(tempfile.gettempdir(), f"pamdp-{os.getuid()}", "xla")
    os.environ.setdefault("TF_XLA_FLAGS", f"{CACHE}={folder}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"

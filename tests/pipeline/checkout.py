"""Checkouts of the project to run the pipeline in, apart from the one that holds the tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.helpers import ROOT, changed

PLOTS = tuple(
    f".dvc/plots/{name}" for name in ("learning_curves.json", "page.html", "returns.json")
)
FILES = (
    *PLOTS,
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "dvc.yaml",
    "params.yaml",
    "requirements.lock",
)
FOLDERS = ("pipeline", "src")
# What the machine may have set and the stages look at.
UNSET = (
    "CUDA_VISIBLE_DEVICES",
    "MLFLOW_TRACKING_URI",
    "PAMDP_ENGINE",
    "PAMDP_OPTUNA_STORAGE",
    "PAMDP_TRACKING",
    "PAMDP_WORKERS",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)


def make(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Copies the tracked files as they are now; changes, if any, are to params.yaml, by path."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    if changes:
        change(folder, changes)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def settings(folder: Path) -> dict[str, Any]:
    """The content of params.yaml."""
    return YAML(typ="safe", pure=True).load(folder / "params.yaml")


def change(folder: Path, changes: Mapping[str, Any]) -> None:
    """Changes values of params.yaml, by dotted path."""
    refuse_shared(folder / "params.yaml")
    values = changed(settings(folder), dict(changes))
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(values, file)


@contextmanager
def edited(path: Path, content: str | None = None) -> Iterator[None]:
    """Other content in a file, by default one more line, for a while."""
    refuse_shared(path)
    before = path.read_bytes()
    path.write_bytes(content.encode() if content is not None else before + b"\n# edited\n")
    try:
        yield
    finally:
        path.write_bytes(before)


def refuse_shared(path: Path) -> None:
    """Another process may be looking at what was built once for all of them."""
    if any(marker(folder).exists() for folder in path.parents if folder.name):
        raise AssertionError(f"{path} is shared by all tests: change a copy of it")


def marker(folder: Path) -> Path:
    """The file that says that a shared folder is complete."""
    return folder.with_name(f"{folder.name}.done")


def git(folder: Path, *arguments: str) -> str:
    """Runs git with settings of its own."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "gc.auto=0"]
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def commit(folder: Path) -> None:
    """Commits all that git does not ignore."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "test")


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """What commands see: this interpreter as `python`, and the package of that folder."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(folder / "src"),
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(folder / ".work" / "dvc"),
        **variables,
    }


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command there, to its end, whatever that is."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def succeed(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command there; its failure is the test's, with all that it printed."""
    done = run(folder, *command, **variables)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


def contents(folder: Path, *names: str) -> dict[str, bytes]:
    """The bytes of all files below some of its folders, by path."""
    paths = sorted(path for name in names for path in (folder / name).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def once(
    folder: Path, build: Callable[[Path], object], meanwhile: Callable[[], object] | None = None
) -> Path:
    """Builds a folder once for all processes of a test session.

    Args:
      folder: what is built.
      build: builds it.
      meanwhile: what to do if another process is building it just now, before waiting for that.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = marker(folder)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if meanwhile:
                meanwhile()
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            done.touch()
    return folder

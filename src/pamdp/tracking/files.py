"""The files of a checkout: their content and the commit they belong to."""

import getpass
import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pamdp.records import Run

# What the pipeline itself writes; `dvc repro` changes it as it goes.
OUTPUTS = ("dvc.lock", "metrics", "models")
LIVE = "live"  # the folder of `pamdp.stages.live`


def files_below(root: Path, folder: str) -> list[str]:
    """The files below `root/folder`, relative to `root`, in order."""
    found = (root / folder).rglob("*")
    return sorted(path.relative_to(root).as_posix() for path in found if path.is_file())


def digest(root: Path, paths: Iterable[str], texts: Mapping[str, str] | None = None) -> str:
    """A hash of names and contents.

    Args:
      root: the project's root.
      paths: of files, relative to the root.
      texts: contents by name.
    """
    found = {path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in paths}
    for name, text in (texts or {}).items():
        found[name] = hashlib.sha256(text.encode()).hexdigest()
    lines = (f"{found[name]} {name}\n" for name in sorted(found))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def require_artifacts(root: Path, run: Run) -> None:
    """Raises `FileNotFoundError` unless all artifacts of `run` and its children exist."""
    missing = [path for path in run.artifacts if not (root / path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"the record of {run.key} lists {', '.join(missing)}, which is not there: "
            "`dvc checkout` restores it, `dvc repro` makes it anew"
        )
    for child in run.children:
        require_artifacts(root, child)


def git_tags(root: Path) -> dict[str, str]:
    """The commit of the tree at `root` and whether it was dirty; empty without git.

    Dirty is a tree of which anything but the pipeline's own outputs, and what is shown of trainings
    under way, differs from the commit.
    """
    commit = _git(root, "rev-parse", "HEAD")
    excluded = [f":(exclude){path}" for path in (*OUTPUTS, LIVE)]
    changes = _git(root, "status", "--porcelain", "--untracked-files=normal", "--", ".", *excluded)
    if commit is None or changes is None:
        return {}
    return {"mlflow.source.git.commit": commit, "git.dirty": "true" if changes else "false"}


def user_tags(command: str) -> dict[str, str]:
    """Who ran which command, as MLflow shows it."""
    tags = {"mlflow.source.name": command, "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _git(root: Path, *arguments: str) -> str | None:
    # Without optional locks, so that a commit the user makes meanwhile does not fail.
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def text_of(value: object) -> str:
    """A setting as MLflow shows it: in the words of params.yaml where it is none."""
    return "null" if value is None else str(value)

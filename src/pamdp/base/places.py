"""Where a study stands, and what it belongs to."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path("src", "pamdp")  # of a checkout of this project
EXPERIMENTS = (".dvc", "tmp", "exps")  # the folder in which DVC runs what it runs elsewhere


def workspace(root: Path) -> Path:
    """The checkout whose user started what runs in `root`: another one, if DVC made a copy of it.

    `dvc exp run --temp` and `--queue` run in a copy that is removed afterwards.

    Args:
      root: the folder of a study.
    """
    root = root.resolve()
    for folder in root.parents:
        if folder.parts[-len(EXPERIMENTS) :] == EXPERIMENTS:
            return folder.parents[len(EXPERIMENTS) - 1]
    return root


def project(root: Path) -> Path | None:
    """The checkout of this project that a study is, or is a folder of; None if it stands elsewhere.

    Args:
      root: the folder of a study.
    """
    folders = (root.resolve(), *root.resolve().parents)
    return next((each for each in folders if (each / SOURCE / "cli.py").is_file()), None)

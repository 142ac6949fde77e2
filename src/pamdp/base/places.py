"""Where a study stands, and where an experiment of DVC stands that runs beside it."""

from __future__ import annotations

from pathlib import Path

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

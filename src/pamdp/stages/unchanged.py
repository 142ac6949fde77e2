"""Settings that stay what they are while a stage runs, which DVC reads once it has ended.

DVC writes into dvc.lock what params.yaml says then. Edited meanwhile, it would stand there beside
results of what it said before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pamdp.base.errors import PamdpError
from pamdp.settings import load

# Of all cells at once, and soon done again. A cell's stages compare what they depend on themselves.
STAGES = ("evaluate", "export", "report")


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Around a stage: its settings file says the same at its end.

    Raises:
      PamdpError: it says something else, or is no settings file any more.
    """
    before = load(path)
    yield
    if load(path) != before:
        raise PamdpError(
            f"{path}: expected the settings that this stage began with, received others, edited "
            "while it ran; its results are not recorded: run `pamdp study` again"
        )

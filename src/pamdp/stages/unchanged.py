"""That what a stage of all cells depends on stays what it is while it runs.

DVC writes into dvc.lock what params.yaml and the facts in `metrics/setup` say once a stage has
ended. Edited meanwhile, it would stand there beside results of what they said before. The stages of
a cell look themselves (`stages/ahead.py`), and keep what they have computed in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.stages.results import check_code

STAGES = ("evaluate", "export", "report")


@contextmanager
def unchanged(checkout: Checkout, stage: str) -> Iterator[None]:
    """Around a stage: settings, code, packages and facts are the same at its end.

    Raises:
      PamdpError: they are not, or code and packages are not those that `setup` has looked at.
    """
    check_code(checkout, stage, checkout.settings.cells)
    before = _facts(checkout)
    yield
    check_code(checkout, stage, checkout.settings.cells)
    if Checkout.here().settings != checkout.settings or _facts(checkout) != before:
        raise PamdpError(
            f"{stage}: expected the settings and facts that it began with, received others, edited "
            "while it ran; its results are not recorded: run `pamdp study` again"
        )


def _facts(checkout: Checkout) -> dict[str, bytes]:
    """What `setup` has found, by the paths of its files."""
    return {str(path): path.read_bytes() for path in checkout.setup.rglob("*.json")}

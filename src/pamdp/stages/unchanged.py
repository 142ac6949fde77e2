"""That what stages depend on stays what it is while they run.

DVC writes into dvc.lock what params.yaml and the facts in `metrics/setup` say once a stage has
ended. Edited meanwhile, it would stand there beside results of what they said before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.stages.results import check_code

# Of all cells at once, and soon done again. What a cell's own stages have made is kept in any case,
# and they look themselves (`stages/ahead.py`).
STAGES = ("evaluate", "export", "report")

Facts = Mapping[str, str]  # hashes of what `setup` has written, by its name


def facts(checkout: Checkout) -> Facts:
    """What `setup` has found."""
    paths = sorted(checkout.setup.rglob("*.json"))
    return {
        path.relative_to(checkout.setup).with_suffix("").as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in paths
    }


def check_facts(checkout: Checkout, expected: Facts) -> None:
    """Compares what `setup` has found with what it had found before.

    Raises:
      PamdpError: it has looked again meanwhile, and found something else.
    """
    found = facts(checkout)
    if found != expected:
        names = sorted(name for name, _ in {*found.items()} ^ {*expected.items()})
        raise PamdpError(
            f"{', '.join(dict.fromkeys(names))}: expected what `setup` had found in the beginning, "
            "received something else, which it has found since; run `pamdp study` again"
        )


@contextmanager
def unchanged(checkout: Checkout, stage: str) -> Iterator[None]:
    """Around a stage of all cells: settings, code, packages and facts are the same at its end.

    Raises:
      PamdpError: they are not, or code and packages are not those that `setup` has looked at.
    """
    check_code(checkout, stage, checkout.settings.cells)
    before = facts(checkout)
    yield
    check_code(checkout, stage, checkout.settings.cells)
    check_facts(checkout, before)
    if Checkout.here().settings != checkout.settings:
        raise PamdpError(
            f"params.yaml: expected the settings that {stage} began with, received others, edited "
            "while it ran; its results are not recorded: run `pamdp study` again"
        )

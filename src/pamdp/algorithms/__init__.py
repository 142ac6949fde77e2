"""Algorithms: one file each, named after its `kind`, and one line here."""

from pamdp.algorithms.epdqn import EPDQN
from pamdp.algorithms.mpdqn import MPDQN
from pamdp.algorithms.paddpg import PADDPG
from pamdp.algorithms.pdqn import PDQN
from pamdp.algorithms.spdqn import SPDQN
from pamdp.base.algorithm import Algorithm
from pamdp.base.component import union_of

__all__ = ["ALGORITHMS", "AnyAlgorithm"]

ALGORITHMS: dict[str, type[Algorithm]] = {
    "pdqn": PDQN,
    "spdqn": SPDQN,
    "mpdqn": MPDQN,
    "epdqn": EPDQN,
    "paddpg": PADDPG,
}

AnyAlgorithm = union_of(ALGORITHMS)

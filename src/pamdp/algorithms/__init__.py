"""Algorithms: one Q-function each, in a file named after it, and one line here."""

from pamdp.algorithms.base import QFunction
from pamdp.algorithms.mpdqn import MPDQN
from pamdp.algorithms.pdqn import PDQN
from pamdp.algorithms.spdqn import SPDQN

__all__ = ["ALGORITHMS", "QFunction"]

ALGORITHMS: dict[str, type[QFunction]] = {"pdqn": PDQN, "mpdqn": MPDQN, "spdqn": SPDQN}

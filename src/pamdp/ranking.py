"""Which cell is the best: one answer for the report, the film and MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pamdp.algorithms import ALGORITHMS
from pamdp.files import read_json
from pamdp.learning.cell import CellName
from pamdp.strategies import STRATEGIES

KINDS = {"algorithms": [*ALGORITHMS], "strategies": [*STRATEGIES]}

Words = Mapping[str, Mapping[str, Mapping[str, str]]]  # family, name, and what it is


def read_words(root: Path) -> Words:
    """What `setup` has written about the algorithms and strategies of a study; empty before."""
    path = root / "metrics" / "setup" / "descriptions.json"
    return read_json(path, Words) if path.is_file() else {}


def ordered(family: str, names: Iterable[str], words: Words) -> list[str]:
    """Names of algorithms or strategies, the simplest kind first.

    Args:
      family: `algorithms` or `strategies`.
      names: in params.yaml.
      words: what they are; a name that is not among them is taken for a kind, or comes last.
    """
    kinds, known = KINDS[family], words.get(family, {})

    def rank(name: str) -> tuple[int, str]:
        kind = known.get(name, {}).get("kind", name)
        return kinds.index(kind) if kind in kinds else len(kinds), name

    return sorted(names, key=rank)


def best_cells(summary: Mapping[str, Any], words: Words) -> dict[str, str]:
    """The cell with the highest mean return of each environment.

    Of equals it is the first in the order of the report: by algorithm, then by strategy.

    Args:
      summary: what the evaluation found, by cell.
      words: what `read_words` gives.
    """
    names = [CellName.parse(cell) for cell in summary]
    algorithms = ordered("algorithms", {name.algorithm for name in names}, words)
    strategies = ordered("strategies", {name.strategy for name in names}, words)

    def rank(name: CellName) -> tuple[float, int, int]:
        mean = summary[str(name)]["return"]["mean"]
        return -mean, algorithms.index(name.algorithm), strategies.index(name.strategy)

    best: dict[str, str] = {}
    for name in sorted(names, key=rank):
        best.setdefault(name.environment, str(name))
    return best

"""What a study compares, as it says before it runs.

A family, within which p is corrected, is all comparisons of strategies, or all of algorithms, in an
environment by one measure: what is said together. Cells of several algorithms are in one family, so
that all verdicts on the strategies of an environment have one error rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from pamdp.base.component import Component, ListOf, Text
from pamdp.learning.cell import CellName

Kind = Literal["strategies", "algorithms"]
Measure = Literal["final_return", "area_under_curve", "above_threshold"]

FIELDS: Mapping[Kind, str] = {"strategies": "strategy", "algorithms": "algorithm"}  # of a name


class Pair(NamedTuple):
    """A cell and the reference that it is compared with."""

    kind: Kind
    cell: CellName
    reference: CellName

    @property
    def family(self) -> tuple[str, str]:
        """What it is corrected with, for each measure: environment and kind."""
        return self.cell.environment, self.kind


class Comparisons(Component):
    """What is compared, and by which measures. Verdicts are given on nothing else.

    Attributes:
      strategies: references under `gradients`; each other strategy of the study is compared with
        them, in the same environment and with the same algorithm.
      algorithms: references under `algorithms`; each other algorithm of the study is compared with
        them, in the same environment and with the same strategy.
      measures: what is compared of each seed. final_return: its mean return after training;
        area_under_curve: the mean of its learning curve over the steps; above_threshold: whether
        its final return is at least return_threshold.
    """

    strategies: ListOf[Text] = ("inverting",)
    algorithms: ListOf[Text] = ("pdqn",)
    measures: Annotated[ListOf[Measure], Field(min_length=1)] = ("final_return",)

    def pairs(self, cells: Sequence[CellName]) -> Iterator[Pair]:
        """The comparisons among the cells of a study, family by family, each pair once."""
        for environment in dict.fromkeys(cell.environment for cell in cells):
            own = [cell for cell in cells if cell.environment == environment]
            for kind, field in FIELDS.items():
                references: tuple[str, ...] = getattr(self, kind)
                for number, name in enumerate(references, 1):
                    for cell in own:
                        other = cell._replace(**{field: name})
                        if getattr(cell, field) not in references[:number] and other in own:
                            yield Pair(kind, cell, other)

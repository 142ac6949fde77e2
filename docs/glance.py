"""The figure that answers the question of all studies at a glance: `make results` draws it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from pamdp.learning.cell import CellName
from pamdp.reporting.style import COLOURS, LANE, styled
from pamdp.verdicts import Comparison, Verdict

REFERENCE = "inverting"
TILES: Mapping[Verdict, str] = {
    "better": COLOURS["series-2"],
    "worse": COLOURS["series-3"],
    "not told apart": COLOURS["rule"],
}
COLUMN = 0.62  # inches
NAMES = 1.5  # inches for the names of the strategies
HEAD = 1.15  # inches for the title, the legend and the names of the columns


class Column(NamedTuple):
    """What is compared within: an environment and an algorithm."""

    environment: str
    algorithm: str


Grid = Mapping[Column, Mapping[str, Comparison]]  # then by strategy


def grid(comparisons: Iterable[Comparison]) -> Grid:
    """The comparisons of strategies with the reference by final return."""
    found: dict[Column, dict[str, Comparison]] = {}
    for each in comparisons:
        environment, algorithm, strategy = CellName.parse(each.cell)
        against = CellName.parse(each.reference).strategy
        if (each.kind, each.measure, against) == ("strategies", "final_return", REFERENCE):
            found.setdefault(Column(environment, algorithm), {})[strategy] = each
    return found


@styled
def draw(columns: Grid) -> Figure:
    """A tile for each comparison: its verdict as colour, the probability of improvement in it."""
    strategies = [*dict.fromkeys(name for found in columns.values() for name in found)]
    width, height = NAMES + COLUMN * len(columns), HEAD + LANE * len(strategies)
    width = max(width, 4.7)
    figure = Figure(figsize=(width, height), layout="none")
    axes = figure.add_axes(
        (
            NAMES / width,
            0.02,
            COLUMN * len(columns) / width,
            LANE * len(strategies) / height - 0.02,
        )
    )
    for x, found in enumerate(columns.values()):
        for y, strategy in enumerate(strategies):
            if strategy in found:
                _tile(axes, x, y, found[strategy])
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(strategies) - 0.5, -0.5)
    axes.set_yticks(range(len(strategies)), strategies)
    axes.xaxis.tick_top()
    labels = [f"{c.environment}_{c.algorithm}".replace("_", "\n") for c in columns]
    axes.set_xticks(range(len(columns)), labels, fontsize=7)
    axes.tick_params(length=0, labelcolor=COLOURS["ink"])
    for spine in axes.spines.values():
        spine.set_visible(False)
    title = f"Gradient strategies against `{REFERENCE}`, by final return"
    figure.text(0.01, 1 - 0.06 / height, title, va="top", fontsize=9.5, fontweight="bold")
    figure.legend(
        handles=[Patch(color=colour, label=verdict) for verdict, colour in TILES.items()],
        loc="upper left",
        bbox_to_anchor=(0.01, 1 - 0.24 / height),
        ncols=len(TILES),
        borderaxespad=0,
    )
    return figure


def _tile(axes: Axes, x: int, y: int, comparison: Comparison) -> None:
    told = comparison.verdict != "not told apart"
    axes.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, color=TILES[comparison.verdict]))
    axes.text(
        *(x, y, f"{comparison.probability.value:.2f}"),
        ha="center",
        va="center",
        fontsize=7.5,
        color=COLOURS["paper"] if told else COLOURS["ink"],
    )

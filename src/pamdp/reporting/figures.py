"""The figures of the report: functions from data to matplotlib figures."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pamdp.algorithms import ALGORITHMS
from pamdp.reporting.compared import BY, reference_of
from pamdp.reporting.data import CellResults, Section
from pamdp.reporting.style import COLOURS, LANE, PANEL, SERIES, WIDTH, styled

T = TypeVar("T")


@styled
def learning_curves(section: Section, algorithm: str) -> Figure:
    """A panel for each strategy: its mean return with a 95 % band, the other strategies in grey."""
    cells = section.of(algorithm)
    figure, panels = _panels(cells)
    limits = _curve_limits(section)
    for axes, cell in panels:
        for other in cells:
            if other.curve is not None and other is not cell:
                axes.plot(other.curve.steps, other.curve.band.mean, color=COLOURS["others"], lw=0.8)
        if cell.curve is not None:
            colour = colour_of(section, algorithm)
            steps, (mean, low, high) = cell.curve.steps, cell.curve.band
            axes.fill_between(steps, low, high, color=colour, alpha=0.22, lw=0)
            axes.plot(steps, mean, color=colour)
        axes.set_title(cell.name.strategy)
        axes.grid(axis="y")
        axes.set_ylim(*limits)
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    heading(
        figure,
        section,
        f"{section.title(algorithm)} on {section.label}: greedy return while training",
    )
    figure.supxlabel("training steps", color=COLOURS["muted"], fontsize=8.5)
    return figure


@styled
def returns(section: Section) -> Figure:
    """Mean return with its 95 % interval for each cell, the seeds as small ticks."""
    strategies = section.strategies
    figure = Figure(figsize=(WIDTH, 1.15 + LANE * len(strategies)))
    axes = figure.subplots()
    for cell, row, colour in _lanes(section):
        summary = cell.summary["return"]
        axes.plot(
            cell.scores, [row] * len(cell.scores), "|", color=colour, ms=5, mew=0.8, alpha=0.5
        )
        axes.plot([summary["mean_low"], summary["mean_high"]], [row, row], color=colour)
        axes.plot(summary["mean"], row, "o", color=colour, ms=4.5)
    _strategy_axis(axes, strategies)
    axes.set_xlabel("mean greedy return")
    heading(
        figure, section, f"Return on {section.label}, 95 % intervals over seeds", section.algorithms
    )
    return figure


@styled
def comparisons(section: Section) -> Figure | None:
    """Probability of improvement, a row of panels for each measure; None without comparisons."""
    if not section.comparisons:
        return None
    lanes = {str(cell.name): (row, colour) for cell, row, colour in _lanes(section)}
    strategies, measures = section.strategies, section.measures
    references = [*dict.fromkeys((c.kind, reference_of(c)) for c in section.comparisons)]
    height = 0.8 + (0.35 + LANE * len(strategies)) * len(measures)
    figure = Figure(figsize=(WIDTH, height))
    grid = figure.subplots(len(measures), len(references), sharex=True, sharey=True, squeeze=False)
    for measure, line in zip(measures, grid, strict=True):
        for (kind, name), axes in zip(references, line, strict=True):
            axes.axvline(0.5, color=COLOURS["muted"], lw=0.8)
            for each in section.comparisons:
                if (each.measure, each.kind, reference_of(each)) == (measure, kind, name):
                    row, colour = lanes[each.cell]
                    value, low, high = each.probability
                    open_ = each.verdict == "not told apart"
                    axes.plot([low, high], [row, row], color=colour, alpha=0.4 if open_ else 1)
                    filled = COLOURS["others"] if open_ else colour
                    axes.plot(value, row, "o", color=colour, mfc=filled, ms=4.5, clip_on=False)
            _strategy_axis(axes, strategies)
            axes.set_xlim(-0.04, 1.04)
            axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            if measure == measures[0]:
                axes.set_title(f"over {name if kind == 'strategies' else section.title(name)}")
        if len(measures) > 1:
            line[0].set_ylabel(BY[measure])
    figure.supxlabel("probability of improvement", color=COLOURS["muted"], fontsize=8.5)
    heading(
        figure, section, f"Who beats whom on {section.label}, 95 % intervals", section.algorithms
    )
    return figure


@styled
def bounds(section: Section) -> Figure:
    """Shares of the parameters that were clipped and that lay near a bound."""
    strategies = section.strategies
    figure = Figure(figsize=(WIDTH, 1.15 + LANE * len(strategies)))
    row_of_axes = figure.subplots(1, 2, sharey=True)
    names = {"clipped_share": "clipped to a bound", "near_bound_share": "within 1 % of a bound"}
    for axes, (key, title) in zip(row_of_axes, names.items(), strict=True):
        for cell, row, colour in _lanes(section):
            if cell.summary[key] is not None:
                axes.plot([0, 100 * cell.summary[key]], [row, row], color=colour, alpha=0.45)
                axes.plot(100 * cell.summary[key], row, "o", color=colour, ms=4.5, clip_on=False)
        _strategy_axis(axes, strategies)
        axes.set_xlim(left=0)
        axes.margins(x=0.06)
        axes.set_title(title)
    figure.supxlabel("% of the parameters", color=COLOURS["muted"], fontsize=8.5)
    heading(figure, section, f"Parameters and their bounds on {section.label}", section.algorithms)
    return figure


@styled
def tuning(section: Section) -> Figure | None:
    """The best score over the trials of each cell's search; None where nothing was searched."""
    scores = [score for cell in section.ordered for score in cell.trials if score is not None]
    if not scores:
        return None
    rows = [section.row(strategy) for strategy in section.strategies]
    figure, panels = _panels(rows)
    for axes, row in panels:
        for cell in filter(None, row):
            colour = colour_of(section, cell.name.algorithm)
            points = [(n, score) for n, score in enumerate(cell.trials) if score is not None]
            if points:
                numbers, values = np.array(points).T
                best = np.maximum.accumulate(values)
                axes.plot(numbers, values, "o", color=colour, ms=3, alpha=0.5, mew=0)
                axes.step(numbers, best, where="post", color=colour)
        axes.set_title(next(cell.name.strategy for cell in row if cell))
        axes.grid(axis="y")
        axes.set_ylim(*padded(scores))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.supxlabel("trial", color=COLOURS["muted"], fontsize=8.5)
    heading(
        figure,
        section,
        f"Best score of the search on {section.label}, dots: its trials",
        section.algorithms,
    )
    return figure


def heading(figure: Figure, section: Section, title: str, algorithms: Sequence[str] = ()) -> None:
    """Draws the title, and below it the algorithms in their colours."""
    height = figure.get_figheight()
    inches = 0.5 if algorithms else 0.28
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - inches / height), wspace=0.05)
    figure.text(0.01, 1 - 0.06 / height, title, va="top", fontsize=9.5, fontweight="bold")
    if algorithms:
        marks = [
            Line2D(
                [],
                [],
                color=colour_of(section, name),
                marker="o",
                ms=4.5,
                label=section.title(name),
            )
            for name in algorithms
        ]
        figure.legend(
            handles=marks,
            loc="upper left",
            bbox_to_anchor=(0.01, 1 - 0.24 / height),
            ncols=len(marks),
            labelcolor="linecolor",
            borderaxespad=0,
        )


def colour_of(section: Section, algorithm: str) -> str:
    """The colour of an algorithm."""
    # By name and not by place in the section, so that it is the same in all environments.
    # An algorithm keeps its colour in every study, unless there are others beside the known ones.
    known = {*section.algorithms} <= {*ALGORITHMS}
    order = [*ALGORITHMS] if known else section.algorithms
    return COLOURS[SERIES[order.index(algorithm) % len(SERIES)]]


def _panels(items: Sequence[T]) -> tuple[Figure, list[tuple[Axes, T]]]:
    """Small multiples with common axes in two columns, an axes for each item."""
    num_rows = (len(items) + 1) // 2
    figure = Figure(figsize=(WIDTH, 0.75 + PANEL * num_rows))
    grid = figure.subplots(num_rows, 2, sharex=True, sharey=True, squeeze=False).flatten()
    for axes in grid[len(items) :]:
        axes.set_axis_off()
        # The panel above the empty place is the last of its column and needs the numbers.
        grid[len(items) - 2].tick_params(labelbottom=True)
    return figure, list(zip(grid, items, strict=False))


def _lanes(section: Section) -> Iterator[tuple[CellResults, float, str]]:
    """Each cell with its height in a plot of strategies, downwards, and its colour."""
    count = len(section.algorithms)
    for row, strategy in enumerate(section.strategies):
        for place, cell in enumerate(section.row(strategy)):
            if cell is not None:
                offset = 0.36 * (place - (count - 1) / 2) / max(count - 1, 1)
                yield cell, row + offset, colour_of(section, cell.name.algorithm)


def _strategy_axis(axes: Axes, strategies: Sequence[str]) -> None:
    axes.set_yticks(range(len(strategies)), strategies)
    axes.set_ylim(len(strategies) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _curve_limits(section: Section) -> tuple[float, float]:
    curves = [cell.curve for cell in section.ordered]
    return padded([v for c in curves if c for edge in (c.band.low, c.band.high) for v in edge])


def padded(values: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis that shows these values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _thousands(step: float, _: int) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"

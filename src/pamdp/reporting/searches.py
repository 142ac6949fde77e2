"""The figures of searches: what mattered, and which values did well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pamdp.reporting.data import CellResults, Searched, Section
from pamdp.reporting.figures import colour_of, heading, padded
from pamdp.reporting.style import COLOURS, LANE, PANEL, WIDTH, styled


@styled
def importance(section: Section) -> Figure | None:
    """How much each setting mattered in each cell's search; None where nothing is known of it."""
    cells = [cell for cell in section.ordered if cell.importance]
    if not cells:
        return None
    means = {path: _mean(cell.importance.get(path) for cell in cells) for path in _paths(section)}
    paths = sorted(means, key=lambda path: (-means[path], path))
    figure = Figure(figsize=(WIDTH, 1.15 + LANE * len(paths)))
    axes = figure.subplots()
    for row, path in enumerate(paths):
        known = [cell for cell in cells if path in cell.importance]
        axes.plot(
            [0, 100 * means[path]], [row, row], color=COLOURS["others"], lw=5, solid_capstyle="butt"
        )
        for cell in known:
            colour = colour_of(section, cell.name.algorithm)
            axes.plot(100 * cell.importance[path], row, "o", color=colour, ms=3.5, alpha=0.7, mew=0)
    axes.set_yticks(range(len(paths)), map(_short, paths))
    axes.set_ylim(len(paths) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
    axes.set_xlim(left=0)
    axes.grid(axis="x")
    axes.set_xlabel("% of the importance in a search")
    heading(figure, section, f"What mattered in the search on {section.label}", section.algorithms)
    return figure


@styled
def slices(section: Section) -> Figure | None:
    """The score of each trial over each of its values; None where nothing was searched."""
    paths, scores = _paths(section), _scores(section)
    if not paths or not scores:
        return None
    num_rows = (len(paths) + 1) // 2
    figure = Figure(figsize=(WIDTH, 0.75 + 1.25 * PANEL * num_rows))
    grid = figure.subplots(num_rows, 2, sharey=True, squeeze=False).flatten()
    for axes in grid[len(paths) :]:
        axes.set_axis_off()
    for axes, path in zip(grid, paths, strict=False):
        scale = Scale(section, path)
        for cell in section.ordered:
            tried = [trial for trial in _scored(cell) if path in trial.values]
            places = [scale.place(t.values[path]) for t in tried]
            colour = colour_of(section, cell.name.algorithm)
            axes.plot(places, [t.score for t in tried], "o", color=colour, ms=3, alpha=0.5, mew=0)
        scale.label(axes)
        axes.set_title(_short(path))
        axes.grid(axis="y")
        axes.set_ylim(*padded(scores))
    figure.supylabel("score", color=COLOURS["muted"], fontsize=8.5)
    heading(figure, section, f"Trials on {section.label} by their values", section.algorithms)
    return figure


@styled
def parallel(section: Section) -> Figure | None:
    """A line for each trial through its values; each cell's best in colour; None without any."""
    paths, scores = _paths(section), _scores(section)
    if len(paths) < 2 or not scores:
        return None
    scales = [Scale(section, path) for path in paths]
    low, high = padded(scores)
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.subplots()
    for cell in section.ordered:
        tried = _scored(cell)
        best = max(tried, key=lambda trial: trial.score or 0.0, default=None)
        for trial in tried:
            values = [
                scale.share(trial.values[path]) if path in trial.values else math.nan
                for scale, path in zip(scales, paths, strict=True)
            ]
            heights = [*values, ((trial.score or 0.0) - low) / (high - low)]
            known = [place for place, height in enumerate(heights) if not math.isnan(height)]
            drawn = known, [heights[place] for place in known]
            if trial is best:
                axes.plot(*drawn, color=colour_of(section, cell.name.algorithm), lw=1.2, zorder=3)
            else:
                axes.plot(*drawn, color=COLOURS["others"], lw=0.5, alpha=0.6)
    names = [_short(path).replace(".", "\n") for path in paths]
    axes.set_xticks(range(len(paths) + 1), [*names, "score"], fontsize=7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    ends = [scale.ends for scale in scales] + [(f"{low:.3g}", f"{high:.3g}")]
    for place, words in enumerate(ends):
        for height, align, word in zip((-0.03, 1.03), ("top", "bottom"), words, strict=True):
            axes.text(place, height, word, ha="center", va=align, fontsize=6.5)
    axes.set_ylim(-0.12, 1.12)
    title = f"All trials on {section.label}, the best of each cell in colour"
    heading(figure, section, title, section.algorithms)
    return figure


class Scale:
    """The axis of a setting: numbers on their scale, anything else side by side."""

    def __init__(self, section: Section, path: str) -> None:
        """Looks at what was tried."""
        cells = section.ordered
        tried = [t.values[path] for c in cells for t in _scored(c) if path in t.values]
        self.words = [] if all(map(_is_number, tried)) else sorted({*map(_word, tried)})
        places = [self.place(value) for value in tried]
        self.low, self.high = min(places), max(places)
        self.log = not self.words and self.low > 0 and any(c.is_logarithmic(path) for c in cells)

    def place(self, value: Any) -> float:
        """Where a value stands."""
        return float(self.words.index(_word(value)) if self.words else value)

    def share(self, value: Any) -> float:
        """The same as a share of the axis."""
        low, place, high = self.low, self.place(value), self.high
        if self.log:
            low, place, high = np.log([low, place, high])
        return float((place - low) / (high - low)) if high > low else 0.5

    @property
    def ends(self) -> tuple[str, str]:
        """The lowest and the highest value in words."""
        if self.words:
            return self.words[0], self.words[-1]
        return _digits(self.low), _digits(self.high)

    def label(self, axes: Axes) -> None:
        """Gives the horizontal axis this scale."""
        if self.words:
            axes.set_xticks(range(len(self.words)), self.words)
            axes.set_xlim(-0.5, len(self.words) - 0.5)
        elif self.log:
            axes.set_xscale("log")
            ends = [self.low, math.sqrt(self.low * self.high), self.high]
            axes.set_xticks(ends, [*map(_digits, ends)])
            axes.minorticks_off()


def _paths(section: Section) -> list[str]:
    """What was tuned in a section."""
    cells: Sequence[CellResults] = section.ordered
    return sorted({path for cell in cells for trial in _scored(cell) for path in trial.values})


def _scored(cell: CellResults) -> list[Searched]:
    """The trials of a cell that have a score: the others are not drawn."""
    return [trial for trial in cell.searched if trial.score is not None]


def _scores(section: Section) -> list[float]:
    return [score for cell in section.ordered for score in cell.trials if score is not None]


def _mean(values: Any) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _word(value: Any) -> str:
    """A value as params.yaml has it."""
    return "null" if value is None else str(value)


def _digits(value: float) -> str:
    """A number with two digits, or with all that stand before its point: 0.00031, 128."""
    return f"{value:.{max(2, len(str(int(abs(value)))))}g}"


def _short(path: str) -> str:
    return path.removeprefix("learner.")

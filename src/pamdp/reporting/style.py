"""How figures look, and how they become SVG.

The bytes of an SVG depend on nothing but the data and matplotlib's version: its own font, drawn as
outlines, names hashed with a fixed salt, no date. Colours are the few of `COLOURS`, so that the
page can exchange each for a variable of the light or dark scheme.
"""

import functools
import io
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure

COLOURS = {
    "paper": "#fefefe",
    "ink": "#22262b",
    "muted": "#6a727c",
    "rule": "#dde1e6",
    "others": "#c2c9d1",
    "series-1": "#1f6fb5",
    "series-2": "#2a8a6d",
    "series-3": "#c9501c",
    "series-4": "#7f52a5",
}
SERIES = ("series-1", "series-2", "series-3", "series-4")
WIDTH = 4.7  # inches
PANEL = 1.12  # inches a row of small multiples
LANE = 0.32  # inches a strategy
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "svg.hashsalt": "pamdp",
    "svg.fonttype": "path",
    "figure.facecolor": COLOURS["paper"],
    "savefig.facecolor": COLOURS["paper"],
    "figure.constrained_layout.use": True,
    "axes.facecolor": "none",
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 8.5,
    "axes.titlecolor": COLOURS["ink"],
    "axes.axisbelow": True,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.4,
    "legend.borderpad": 0,
    "lines.linewidth": 1.6,
}

P = ParamSpec("P")
Drawn = TypeVar("Drawn", bound=Figure | None)


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """A function that draws a figure, in this style."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return wrapped


def to_svg(figure: Figure) -> str:
    """The figure as an SVG document, equal for equal figures."""
    buffer = io.StringIO()
    with matplotlib.style.context(["default", STYLE]):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()

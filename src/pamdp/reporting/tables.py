"""The tables of the report as plain text cells, for Markdown and HTML alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from pamdp.learning.cell import CellName
from pamdp.records import Scalar
from pamdp.reporting.data import CellResults, Section, StudyResults
from pamdp.reporting.published import Measure

MISSING = "–"
MAX_ACTIONS = 20  # listed


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Texts may hold `code` and **bold** in Markdown's notation and nothing else of it.

    Attributes:
      caption: what it shows.
      header: the names of the columns.
      rows: as long as the header each.
      numeric: whether the columns after the first hold numbers.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: bool = True

    def markdown(self) -> str:
        """The table in Markdown, without its caption."""
        marks = ["---"] + ["---:" if self.numeric else "---"] * (len(self.header) - 1)
        lines = (self.header, tuple(marks), *self.rows)
        return "\n".join(
            "| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines
        )


def score_tables(section: Section) -> list[Table]:
    """Mean returns, and shares of successes where others report these."""
    measures: list[Measure] = ["return"]
    if any(published.measure == "success" for published in section.published):
        measures.append("success")
    return [score_table(section, measure) for measure in measures]


def score_table(section: Section, measure: Measure) -> Table:
    """A score with its interval: a row for each strategy, a column for each algorithm."""
    best = {
        max(section.of(algorithm), key=lambda cell: _rank(cell, measure)).name
        for algorithm in section.algorithms
    }
    rows = []
    for strategy in section.strategies:
        cells = section.row(strategy)
        texts = [_score_text(cell, measure, best) if cell else MISSING for cell in cells]
        rows.append((f"`{strategy}`", *texts))
    for published in section.published:
        texts = [published.figures.get(algorithm, MISSING) for algorithm in section.algorithms]
        if published.measure == measure and set(texts) != {MISSING}:
            rows.append((f"published ({published.source})", *texts))
    if measure == "return":
        random = number(section.best.summary["random_policy"]["mean"])
        rows.append(("random policy", *[random] * len(section.algorithms)))
    what = {"return": "Mean greedy return", "success": "Share of successful greedy episodes"}
    return Table(
        f"{what[measure]} on {section.label} with its 95 % bootstrap interval over seeds. "
        "Bold: the highest of an algorithm, which need not be a clear lead.",
        ("Strategy", *map(section.title, section.algorithms)),
        tuple(rows),
    )


def details_table(section: Section, algorithm: str) -> Table:
    """All measures of the cells of an algorithm, a row for each strategy."""
    cells = section.of(algorithm)
    threshold = cells[0].summary["steps_to_return"]["threshold"]
    return Table(
        f"{section.title(algorithm)} on {section.label}. Steps: training steps to the first "
        f"periodic greedy evaluation that returns {threshold:g}, median over seeds (in brackets: "
        "seeds that got there, where not all did). Clipped: parameters outside their bounds. Near "
        "bound: within 1 % of one.",
        ("Strategy", *(name.format(threshold=threshold) for name in DETAILS)),
        tuple(
            (f"`{cell.name.strategy}`", *(text(cell.summary) for text in DETAILS.values()))
            for cell in cells
        ),
    )


def actions_table(section: Section) -> Table:
    """The discrete actions of an environment with the bounds of their parameters."""
    actions, rows = section.facts.get("actions", []), []
    for action in actions[:MAX_ACTIONS]:
        bounds = zip(action["low"], action["high"], strict=True)
        texts = [f"[{low:g}, {high:g}]" for low, high in bounds]
        rows.append((f"`{action['name']}`", ", ".join(texts) or "no parameter"))
    if len(actions) > MAX_ACTIONS:
        rows.append((f"and {len(actions) - MAX_ACTIONS:,} more", "likewise"))
    return Table(
        f"Actions of {section.label} with the bounds of their parameters.",
        ("Action", "Parameters"),
        tuple(rows),
        numeric=False,
    )


def strategies_table(study: StudyResults) -> Table:
    """What the strategies of the study do, for those that are not chains, in their own words."""
    names = [name for section in study.sections for name in section.strategies]
    words = [(name, study.words["strategies"][name]) for name in dict.fromkeys(names)]
    return Table(
        "What each does with the ascent direction g of the action parameters x, before it enters "
        "the parameter network. Factors and thresholds are settings, which the search may change.",
        ("Strategy", "Rule"),
        tuple((f"`{name}`", word["rule"]) for name, word in words if word["kind"] != "chain"),
        numeric=False,
    )


def tuning_table(section: Section) -> Table:
    """The values found for each cell."""
    cells = section.ordered
    paths = sorted({path for cell in cells for path in cell.best["values"]})
    rows = []
    for cell in cells:
        values = [cell.best["values"].get(path) for path in paths]
        texts = [_setting(value) for value in values]
        rows.append((f"`{cell.name}`", number(cell.best["score"]), *texts))
    return Table(
        f"Values used on {section.label}, as the search found them. A dash: the cell has no such "
        "value.",
        ("Cell", "Score", *(f"`{path}`" for path in paths)),
        tuple(rows),
    )


def _setting(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def settings_table(study: StudyResults) -> Table:
    """The settings that all cells share."""
    first, *others = [cell.parameters for cell in study.cells]
    rows = [
        (f"`{path}`", f"{value}")
        for path, value in sorted(first.items())
        if all(path in other and other[path] == value for other in others)
    ]
    return Table("Settings common to all cells.", ("Setting", "Value"), tuple(rows), numeric=False)


def versions_table(study: StudyResults) -> Table:
    """The packages that the results depend on."""
    rows = tuple((f"`{name}`", version) for name, version in sorted(study.versions.items()))
    return Table("Versions that this was run with.", ("Package", "Version"), rows, numeric=False)


def headline_metrics(study: StudyResults) -> dict[str, dict[str, float | None]]:
    """Per cell the numbers that two runs are compared by."""
    return {
        str(cell.name): {
            "return_mean": cell.summary["return"]["mean"],
            "return_iqm": cell.summary["return"]["iqm"],
            "success": (cell.summary.get("success") or {}).get("mean"),
        }
        for cell in study.cells
    }


def best_metrics(study: StudyResults) -> dict[str, dict[str, dict[str, Scalar]]]:
    """Per environment the cell that scores highest, its mean return and interval."""
    found: dict[str, dict[str, Scalar]] = {}
    for section in study.sections:
        mean, low, high = _interval(section.best.summary["return"], "mean")
        bounds = {"return_low": low, "return_high": high}
        found[section.environment] = {"cell": str(section.best.name), "return": mean, **bounds}
    return {"best": found}


def returns_rows(study: StudyResults) -> list[tuple[Scalar, ...]]:
    """The rows of `plots/returns.csv`, its header first."""
    rows: list[tuple[Scalar, ...]] = [
        ("cell", "environment", "algorithm", "strategy", "mean", "low", "high")
    ]
    for cell in study.cells:
        values = _interval(cell.summary["return"], "mean")
        rows.append((str(cell.name), *cell.name, *values))
    return rows


def curves_rows(study: StudyResults) -> list[tuple[Scalar, ...]]:
    """The rows of `plots/curves.csv`, its header first."""
    rows: list[tuple[Scalar, ...]] = [("cell", "step", "mean", "low", "high")]
    for cell in study.cells:
        if cell.curve is not None:
            columns = (cell.curve.steps, *cell.curve.band)
            points = zip(*(column.tolist() for column in columns), strict=True)
            rows.extend((str(cell.name), *point) for point in points)
    return rows


def number(value: float | None, digits: int = 3) -> str:
    """A number for readers, a dash for none."""
    return MISSING if value is None else f"{value:z.{digits}f}"


def with_interval(values: Sequence[float | None], digits: int = 3) -> str:
    """A value with its interval for readers, or a dash."""
    if any(value is None for value in values):
        return number(values[0], digits)
    value, low, high = (number(value, digits) for value in values)
    return f"{value} [{low}, {high}]"


def _score(cell: CellResults, measure: Measure) -> tuple[float | None, float | None, float | None]:
    """Mean over seeds and interval."""
    if measure == "return":
        return _interval(cell.summary["return"], "mean")
    success = cell.summary["success"]
    return success["mean"], success["low"], success["high"]


def _rank(cell: CellResults, measure: Measure) -> float:
    value = _score(cell, measure)[0]
    return -inf if value is None else value


def _score_text(cell: CellResults, measure: Measure, best: set[CellName]) -> str:
    value, low, high = _score(cell, measure)
    if value is None:
        return MISSING
    text = number(value)
    return f"{f'**{text}**' if cell.name in best else text} [{number(low)}, {number(high)}]"


def _interval(summary: Mapping[str, Any], name: str) -> tuple[float, float | None, float | None]:
    return summary[name], summary[f"{name}_low"], summary[f"{name}_high"]


def _percent(share: float | None) -> str:
    return number(None if share is None else 100 * share, 1)


def _steps(summary: Mapping[str, Any]) -> str:
    reached, total = sum(s is not None for s in summary["per_seed"]), len(summary["per_seed"])
    median = "not reached" if summary["median"] is None else f"{summary['median']:,.0f}"
    if reached == 0 or reached == total:
        return median
    return f"{median} ({reached} of {total})"


# The columns of a cell's details: their headers, and what stands there of its summary.
DETAILS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "Mean return [95 %]": lambda summary: with_interval(_interval(summary["return"], "mean")),
    "Interquartile mean [95 %]": lambda summary: with_interval(_interval(summary["return"], "iqm")),
    "Success %": lambda summary: _percent((summary.get("success") or {}).get("mean")),
    "Steps to {threshold:g}": lambda summary: _steps(summary["steps_to_return"]),
    "Clipped %": lambda summary: _percent(summary["clipped_share"]),
    "Near bound %": lambda summary: _percent(summary["near_bound_share"]),
}

"""Parts of sentences."""

from collections.abc import Iterable, Sequence

from pamdp.reporting.data import CellResults


def describe(cell: CellResults) -> str:
    """A cell in words."""
    return f"{cell.title} with `{cell.name.strategy}`"


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence, with `and` before the last."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def span(values: Iterable[int | None], noun: str) -> str:
    """A number of something, or the smallest and the largest number of it."""
    known = sorted({value for value in values if value is not None})
    if not known:
        return f"unknown {noun}s"
    number = f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
    return f"{number} {noun}" if known == [1] else f"{number} {noun}s"

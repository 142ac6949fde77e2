"""Writes the tables of strategies and algorithms into their pages: `make tables`.

A table has a row for each class: its kind, title, rule and reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pamdp.algorithms import ALGORITHMS
from pamdp.base.algorithm import Algorithm
from pamdp.base.strategy import Strategy
from pamdp.strategies import STRATEGIES

BEGIN, END = "<!-- what follows is written by `make tables` -->\n", "<!-- until here -->\n"

Classes = Mapping[str, type[Algorithm] | type[Strategy]]  # by kind

PAGES: Mapping[str, tuple[str, Classes]] = {  # the column of the rules, and the rows
    "strategies.md": ("direction used", STRATEGIES),
    "algorithms.md": ("Q-function", ALGORITHMS),
}


def table(rule: str, classes: Classes) -> str:
    """A table in Markdown; `rule` heads the column of the rules."""
    rows = [("kind", "name", rule, "source"), ("---",) * 4]
    rows += [(f"`{kind}`", c.title, c.rule, c.reference) for kind, c in classes.items()]
    cells = ([text.replace("|", "\\|") for text in row] for row in rows)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def updated(page: str, text: str) -> str:
    """The text of a page with its table as the classes have it.

    Args:
      page: one of `PAGES`.
      text: the page as it is.

    Raises:
      ValueError: the page does not say where its table stands.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(
            f"{page}: expected a line {BEGIN.strip()!r} and below it a line {END.strip()!r}, "
            "between which the table stands"
        )
    return f"{before}{BEGIN}\n{table(*PAGES[page])}\n{END}{after}"


def main(folder: Path) -> None:
    """Updates the pages in a folder."""
    for page in PAGES:
        path = folder / page
        text = path.read_text(encoding="utf-8")
        path.write_text(updated(page, text), encoding="utf-8")


if __name__ == "__main__":
    main(Path(__file__).parent)

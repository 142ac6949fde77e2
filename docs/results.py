"""Writes docs/results.md from all studies of this repository: `make results`.

A study is the root, or a folder of `studies`. Its text and figures are what its report has put into
`results/`, and times.json beside it has what that took. What has not been run is listed as such.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from docs import glance
from pamdp.base.errors import PamdpError
from pamdp.files import read_json
from pamdp.learning.cell import CellName
from pamdp.reporting.style import to_svg
from pamdp.reporting.tables import Table
from pamdp.settings import load
from pamdp.verdicts import Comparison

HEAD = "<!-- written by `make results` from what the studies have in their folders -->\n# Results\n"
UNKNOWN = "not recorded"
FIGURE = Path("docs", "images", "answer.svg")
GLANCE = f"""## At a glance

![Verdicts on all strategies, against inverting]({FIGURE.relative_to("docs")})

A tile is a comparison with `{glance.REFERENCE}`, the environment and the algorithm being the
same: the probability that a seed of the strategy ends with a higher return than one of
`{glance.REFERENCE}`, ties counted half, and whether an exact rank test tells them apart. It is
corrected for all comparisons of strategies in that environment and study, by Holm. Where several
studies have a cell of the same name, the one with most seeds is shown; what it was trained with
stands in its section. Not told apart is no proof of equality. See [statistics](statistics.md).
"""
KINDS = {"returns": "mean greedy return of each cell", "curves": "learning curves of"}  # of figures
CAPTION = (
    "Steps are those of each seed, trials those of each cell. Tuning and training: wall time, "
    "summed over the cells, and how many tasks of a cell ran at a time. Where several cells ran at "
    "a time, the study took less."
)


@dataclass(frozen=True)
class Study:
    """A study of the repository.

    Attributes:
      root: of the repository.
      folder: of the study.
    """

    root: Path
    folder: Path

    @property
    def title(self) -> str:
        """The heading of its section."""
        return "Default study" if self.folder == self.root else f"Study {self.folder.name}"

    @property
    def command(self) -> str:
        """How it is run."""
        return "make study" + ("" if self.folder == self.root else f" STUDY={self.folder.name}")

    @property
    def has_run(self) -> bool:
        """Whether it has results."""
        return (self.folder / "results" / "results.md").is_file()

    @property
    def report(self) -> str:
        """What its report says."""
        return (self.folder / "results" / "results.md").read_text(encoding="utf-8")

    @cached_property
    def ran(self) -> dict[str, dict[str, Any]]:
        """What was run of each cell."""
        return read_json(self.folder / "results" / "cells.json", dict)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The verdicts of its evaluation."""
        entries = read_json(self.folder / "results" / "comparisons.json", list)
        return [Comparison.model_validate(entry) for entry in entries]

    @cached_property
    def times(self) -> dict[str, dict[str, Any]]:
        """What is known of the time that cells have taken, by cell and stage."""
        path = self.folder / "times.json"
        return read_json(path, dict) if path.is_file() else {}

    def seeds(self, cell: str) -> int:
        """How many of a cell were trained."""
        return self.ran[cell]["seeds"]

    def link(self, path: Path, text: str = "") -> str:
        """A link from docs/ to one of its files, by default with the path as text."""
        name = path.relative_to(self.root).as_posix()
        return f"[{text or name}](../{name})"

    def check(self) -> None:
        """Compares its results with what dvc.lock says of them.

        Raises:
          PamdpError: they are of another run.
        """
        command = [sys.executable, "-m", "dvc", "status", "--json", "report"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise PamdpError(f"{self.folder}: `dvc status report` failed: {done.stderr.strip()}")
        changes = json.loads(done.stdout).get("report", ())
        if any("results" in change.get("changed outs", ()) for change in changes if change):
            raise PamdpError(
                f"{self.folder / 'results'}: expected what dvc.lock says of it, received something "
                f"else; `{self.command}` makes it, or take both from one commit"
            )


def studies(root: Path) -> list[Study]:
    """All studies of a repository, that of the root first."""
    paths = [root / "params.yaml", *sorted(root.glob("studies/*/params.yaml"))]
    return [Study(root, path.parent) for path in paths]


def page(root: Path) -> str:
    """The text of docs/results.md.

    Args:
      root: of the repository.
    """
    found = studies(root)
    parts = [HEAD, *([GLANCE] if answer(found) else [])]
    parts += [section(study) for study in found if study.has_run]
    return "\n".join([*parts, *not_run([study for study in found if not study.has_run])])


def answer(found: Sequence[Study]) -> glance.Grid:
    """The verdicts on all strategies, those of the study with most seeds where several have one."""
    seeds: dict[str, int] = {}
    verdicts: dict[str, Comparison] = {}
    for study in found:
        for each in study.comparisons if study.has_run else ():
            key, number = f"{each.measure} {each.cell} {each.reference}", study.seeds(each.cell)
            if number > seeds.get(key, 0):
                seeds[key], verdicts[key] = number, each
    return glance.grid(verdicts.values())


def section(study: Study) -> str:
    """What a study's folder says of it.

    Raises:
      PamdpError: a file of it is missing or damaged.
    """
    table = costs(study)
    figures = sorted((study.folder / "results").glob("*.svg"))
    text = re.sub("(?m)^#", "##", study.report.partition("\n")[2]).strip()
    parts = [
        f"## {study.title}",
        f"`{study.command}` makes it, and {study.link(study.folder / 'params.yaml')} is all of it.",
        table.markdown(),
        table.caption,
        text,
        *(f"!{study.link(path, shown(path))}" for path in figures),
    ]
    return "\n\n".join(parts) + "\n"


def shown(figure: Path) -> str:
    """What a figure shows."""
    environment, kind, *algorithm = figure.stem.split("-")
    return " ".join([f"{environment.replace('_', ' ').title()}:", KINDS[kind], *algorithm])


def costs(study: Study) -> Table:
    """What the cells of a study took, a row for each environment and algorithm."""
    rows = []
    for (environment, algorithm), names in groupby(
        study.ran, lambda name: CellName.parse(name)[:2]
    ):
        cells = [*names]
        counts = ([study.ran[cell][key] for cell in cells] for key in ("seeds", "steps", "trials"))
        walls = (wall(study, cells, stage) for stage in ("tune", "train"))
        name = f"`{environment}`, `{algorithm}`"
        rows.append((name, str(len(cells)), *map(spread, counts), *walls))
    header = ("Environment, algorithm", "Strategies", "Seeds", "Steps", "Trials")
    return Table(
        CAPTION,
        (*header, *(f"{name}, h:min (workers)" for name in ("Tuning", "Training"))),
        tuple(rows),
    )


def wall(study: Study, cells: Sequence[str], stage: str) -> str:
    """The wall time of some cells in a stage, if it is known of these very results."""
    known = [study.times.get(cell, {}).get(stage, {}) for cell in cells]
    if [each.get("fingerprint") for each in known] != [study.ran[cell][stage] for cell in cells]:
        return UNKNOWN
    minutes = round(sum(each["seconds"] for each in known) / 60)
    return f"{minutes // 60}:{minutes % 60:02} ({spread([each['workers'] for each in known])})"


def spread(values: Sequence[int]) -> str:
    """A number, or the range of several."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def not_run(missing: Sequence[Study]) -> Iterator[str]:
    """A section with the studies that have no results, if there are any."""
    if not missing:
        return
    rows = []
    for study in missing:
        settings = load(study.folder / "params.yaml")
        environments = ", ".join(f"`{name}`" for name in settings.study.environments)
        counts = (str(len(settings.cells)), str(len(settings.study.seeds)))
        link = study.link(study.folder / "params.yaml")
        rows.append((link, environments, *counts, f"`{study.command}`"))
    header = ("Study", "Environments", "Cells", "Seeds", "Command")
    yield f"## Not run yet\n\n{Table('', header, tuple(rows), numeric=False).markdown()}\n"


def main(root: Path) -> None:
    """Writes the page of a repository.

    Raises:
      PamdpError: the results of a study are not those of its dvc.lock.
    """
    for study in studies(root):
        if study.has_run:
            study.check()
    if columns := answer(studies(root)):
        (root / FIGURE).write_text(to_svg(glance.draw(columns)), encoding="utf-8")
    (root / "docs" / "results.md").write_text(page(root), encoding="utf-8")


if __name__ == "__main__":
    try:
        main(Path(__file__).parents[1])
    except PamdpError as error:
        sys.exit(f"error: {error}")

"""What the report is made of, read from the outputs of the earlier stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from pamdp.base.errors import PamdpError
from pamdp.comparisons import Measure
from pamdp.files import read_arrays, read_json, reading
from pamdp.learning.cell import CellName
from pamdp.ranking import Words, best_cells, ordered
from pamdp.records import Best, Run, Scalar, Summary
from pamdp.reporting.published import PUBLISHED, Published
from pamdp.statistics import Band, band
from pamdp.verdicts import Comparison

SEED_OF_BANDS = 0

Versions = dict[Literal["packages"], dict[str, str]]


@dataclass(frozen=True)
class LearningCurve:
    """Mean greedy return of the seeds while training: `steps` [T] and the band around it."""

    steps: np.ndarray
    band: Band


class Searched(NamedTuple):
    """A trial: what it tried, by path, and its score, if it has one."""

    values: Mapping[str, Scalar]
    score: float | None


@dataclass(frozen=True)
class CellResults:
    """What one cell of the study gave.

    Attributes:
      name: of the cell.
      title: the algorithm's name for readers.
      num_episodes: greedy episodes a seed behind the summary.
      summary: its entry of `summary.json`.
      training: the record of its training.
      tuning: the record of its search; the trials are its children.
      best: the best values found and their score, `{"values": {path: value}, "score": ..}`.
      importance: of each setting in the search, by path; none where that is not known.
    """

    name: CellName
    title: str
    num_episodes: int
    summary: Mapping[str, Any]
    training: Run
    tuning: Run
    best: Mapping[str, Any]
    importance: Mapping[str, float]

    @property
    def scores(self) -> list[float]:
        """The mean greedy return of each seed."""
        return [entry["mean"] for entry in self.summary["per_seed"]]

    @property
    def num_seeds(self) -> int:
        """The number of trained seeds."""
        return len(self.summary["per_seed"])

    @property
    def num_steps(self) -> int | None:
        """The last step of training of which there is a metric, if there is one."""
        series = [points for run in self.training.children for points in run.metrics.values()]
        return max((step for points in series for step, _ in points), default=None)

    @property
    def parameters(self) -> Mapping[str, Scalar]:
        """The flattened settings of the training."""
        seeds = self.training.children
        return self.training.parameters or (seeds[0].parameters if seeds else {})

    @property
    def trials(self) -> list[float | None]:
        """The final score of each trial in the order of their numbers; None without a score."""
        return [trial.score for trial in self.searched]

    @cached_property
    def searched(self) -> list[Searched]:
        """The trials in the order of their numbers."""
        children = sorted(self.tuning.children, key=lambda run: int(run.key.rsplit("-", 1)[1]))
        series = [run.metrics.get("score", []) for run in children]
        return [
            Searched(run.parameters, points[-1][1] if points else None)
            for run, points in zip(children, series, strict=True)
        ]

    def is_logarithmic(self, path: str) -> bool:
        """Whether the search went by the logarithm of a setting."""
        settings = self.tuning.parameters
        names = [name for name, value in settings.items() if value == path]
        return any(settings.get(f"{name.removesuffix('path')}log") is True for name in names)

    @cached_property
    def curve(self) -> LearningCurve | None:
        """The learning curve over the steps that all seeds share; None if there are none."""
        curves = [dict(run.metrics.get("eval/return", [])) for run in self.training.children]
        steps = sorted(set.intersection(*map(set, curves))) if curves else []
        if not steps:
            return None
        values = np.array([[curve[step] for step in steps] for curve in curves])
        return LearningCurve(np.array(steps), band(values, np.random.default_rng(SEED_OF_BANDS)))


@dataclass(frozen=True)
class Section:
    """All cells of one environment.

    Attributes:
      environment: its name in the study.
      facts: what setup found out about it.
      words: what the algorithms and strategies of the study are, by family and name.
      cells: by algorithm and strategy.
      comparisons: of these cells, family by family.
      animation: the bytes of a GIF of its best policy, if there is one.
    """

    environment: str
    facts: Mapping[str, Any]
    words: Words
    cells: Mapping[tuple[str, str], CellResults]
    comparisons: Sequence[Comparison]
    animation: bytes | None

    @property
    def published(self) -> tuple[Published, ...]:
        """What others report on this environment."""
        return PUBLISHED.get(self.facts.get("id", ""), ())

    @property
    def label(self) -> str:
        """The environment's name for readers."""
        return self.environment.replace("_", " ").title()

    @property
    def algorithms(self) -> list[str]:
        """The algorithms there are, the simplest first."""
        return ordered("algorithms", {algorithm for algorithm, _ in self.cells}, self.words)

    @property
    def strategies(self) -> list[str]:
        """The strategies there are, `plain` first, chains last."""
        return ordered("strategies", {strategy for _, strategy in self.cells}, self.words)

    def title(self, algorithm: str) -> str:
        """An algorithm's name for readers."""
        return self.of(algorithm)[0].title

    def row(self, strategy: str) -> list[CellResults | None]:
        """The cells of a strategy, one for each algorithm."""
        return [self.cells.get((algorithm, strategy)) for algorithm in self.algorithms]

    def of(self, algorithm: str) -> list[CellResults]:
        """The cells of an algorithm in the order of the strategies."""
        cells = (self.cells.get((algorithm, strategy)) for strategy in self.strategies)
        return [cell for cell in cells if cell is not None]

    def cell(self, name: str) -> CellResults:
        """The cell of this name."""
        found = CellName.parse(name)
        return self.cells[found.algorithm, found.strategy]

    @property
    def fewest_seeds(self) -> int:
        """The number of seeds of the cell that has the fewest."""
        return min(cell.num_seeds for cell in self.cells.values())

    @property
    def measures(self) -> list[Measure]:
        """What was compared, the study's first measure first."""
        return [*dict.fromkeys(each.measure for each in self.comparisons)]

    @property
    def families(self) -> list[list[Comparison]]:
        """The comparisons that were corrected together."""
        groups = groupby(self.comparisons, lambda each: (each.measure, each.kind))
        return [[*family] for _, family in groups]

    @property
    def best(self) -> CellResults:
        """The cell with the highest mean return."""
        cells = {str(cell.name): cell for cell in self.cells.values()}
        summary = {name: cell.summary for name, cell in cells.items()}
        return cells[best_cells(summary, self.words)[self.environment]]

    @property
    def ordered(self) -> list[CellResults]:
        """All cells, algorithm by algorithm."""
        return [cell for algorithm in self.algorithms for cell in self.of(algorithm)]


@dataclass(frozen=True)
class StudyResults:
    """Everything that the report shows.

    Attributes:
      sections: one for each environment.
      words: what the algorithms and strategies of the study are, by family and name.
      versions: package to version.
    """

    sections: tuple[Section, ...]
    words: Words
    versions: Mapping[str, str]

    @property
    def cells(self) -> list[CellResults]:
        """All cells in the order of the report."""
        return [cell for section in self.sections for cell in section.ordered]


def read_study(root: Path) -> StudyResults:
    """Reads the outputs of the stages before the report.

    Args:
      root: the project's root, which holds `metrics/`.

    Raises:
      PamdpError: if an output is missing, or the summary holds no cell.
    """
    metrics = root / "metrics"
    summary = read_json(metrics / "evaluate/summary.json", Summary)
    if not summary:
        raise PamdpError("expected at least one cell in metrics/evaluate/summary.json, found none")
    compared = metrics / "evaluate/comparisons.json"
    comparisons = [Comparison(**each) for each in read_json(compared, list[Comparison])]
    episodes = _episodes(metrics / "evaluate/episodes.npz", summary)
    words = read_json(metrics / "setup/descriptions.json", Words)
    cells = [
        _cell(metrics, name, words, episodes[str(name)], summary[str(name)])
        for name in map(CellName.parse, summary)
    ]
    sections = tuple(
        Section(
            environment,
            read_json(metrics / f"setup/environments/{environment}.json", dict),
            words,
            {
                (c.name.algorithm, c.name.strategy): c
                for c in cells
                if c.name.environment == environment
            },
            [each for each in comparisons if each.environment == environment],
            _bytes(root / f"metrics/report/{environment}-best.gif"),
        )
        for environment in sorted({cell.name.environment for cell in cells})
    )
    versions = read_json(metrics / "setup/versions.json", Versions)["packages"]
    return StudyResults(sections, words, versions)


def _cell(
    metrics: Path, name: CellName, words: Words, num_episodes: int, summary: Any
) -> CellResults:
    return CellResults(
        name,
        _title(name.algorithm, words["algorithms"][name.algorithm]),
        num_episodes,
        summary,
        Run.read(metrics / f"train/{name}/record.json"),
        Run.read(metrics / f"tune/{name}/record.json"),
        read_json(metrics / f"tune/{name}/best.json", Best),
        read_json(metrics / f"tune/{name}/importance.json", dict[str, float]),
    )


def _title(name: str, words: Mapping[str, str]) -> str:
    """An algorithm's name for readers, with its own where that is not its kind."""
    return words["title"] if name == words["kind"] else f"{words['title']} ({name})"


def _episodes(path: Path, cells: Iterable[str]) -> dict[str, int]:
    """The number of episodes a seed, by cell."""
    arrays = read_arrays(path)
    with reading(path):
        return {name: arrays[name].shape[1] for name in cells}


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None

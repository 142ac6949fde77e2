"""What the report is made of, read from the outputs of the earlier stages."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.records import Run, Scalar, read_json
from pamdp.reporting.published import PUBLISHED, Published
from pamdp.statistics import REFERENCE_ALGORITHM, REFERENCE_STRATEGIES, Band, band

ALGORITHMS = {"pdqn": "P-DQN", "spdqn": "SP-DQN", "mpdqn": "MP-DQN"}
STRATEGIES = (
    "plain",
    "zeroing",
    "squashing",
    "inverting",
    "reversal",
    "selective",
    "pseudo_inverse",
)
COMPARISONS = tuple(f"over_{name}" for name in (*REFERENCE_STRATEGIES, REFERENCE_ALGORITHM))
SEED_OF_BANDS = 0


@dataclass(frozen=True)
class LearningCurve:
    """Mean greedy return of the seeds while training: `steps` [T] and the band around it."""

    steps: np.ndarray
    band: Band


@dataclass(frozen=True)
class Cell:
    """One cell of the study.

    Attributes:
      name: `environment-algorithm-strategy`.
      num_episodes: greedy episodes a seed behind the summary.
      summary: its entry of `summary.json`.
      comparisons: its entry of `comparisons.json`.
      training: the record of its training.
      tuning: the record of its search; the trials are its children.
      best: the best values found and their score, `{"values": {path: value}, "score": ..}`.
    """

    name: str
    num_episodes: int
    summary: Mapping[str, Any]
    comparisons: Mapping[str, Any]
    training: Run
    tuning: Run
    best: Mapping[str, Any]

    @property
    def environment(self) -> str:
        """The first part of the name."""
        return self.name.split("-")[0]

    @property
    def algorithm(self) -> str:
        """The second part of the name."""
        return self.name.split("-")[1]

    @property
    def strategy(self) -> str:
        """The third part of the name."""
        return self.name.split("-")[2]

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
        children = sorted(self.tuning.children, key=lambda run: int(run.key.rsplit("-", 1)[1]))
        series = [run.metrics.get("score", []) for run in children]
        return [points[-1][1] if points else None for points in series]

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
      cells: by algorithm and strategy.
      animation: the bytes of a GIF of its best policy, if there is one.
    """

    environment: str
    facts: Mapping[str, Any]
    cells: Mapping[tuple[str, str], Cell]
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
        return _ordered({algorithm for algorithm, _ in self.cells}, ALGORITHMS)

    @property
    def strategies(self) -> list[str]:
        """The strategies there are, `plain` first, named chains last."""
        return _ordered({strategy for _, strategy in self.cells}, STRATEGIES)

    def row(self, strategy: str) -> list[Cell | None]:
        """The cells of a strategy, one for each algorithm."""
        return [self.cells.get((algorithm, strategy)) for algorithm in self.algorithms]

    def of(self, algorithm: str) -> list[Cell]:
        """The cells of an algorithm in the order of the strategies."""
        cells = (self.cells.get((algorithm, strategy)) for strategy in self.strategies)
        return [cell for cell in cells if cell is not None]

    @property
    def best(self) -> Cell:
        """The cell with the highest mean return."""
        return max(self.ordered, key=lambda cell: cell.summary["return"]["mean"])

    @property
    def ordered(self) -> list[Cell]:
        """All cells, algorithm by algorithm."""
        return [cell for algorithm in self.algorithms for cell in self.of(algorithm)]


@dataclass(frozen=True)
class Study:
    """Everything that the report shows.

    Attributes:
      sections: one for each environment.
      versions: package to version.
    """

    sections: tuple[Section, ...]
    versions: Mapping[str, str]

    @property
    def cells(self) -> list[Cell]:
        """All cells in the order of the report."""
        return [cell for section in self.sections for cell in section.ordered]


def label(algorithm: str) -> str:
    """The algorithm's name for readers."""
    return ALGORITHMS.get(algorithm, algorithm)


def read_study(root: Path) -> Study:
    """Reads the outputs of the stages before the report.

    Args:
      root: the project's root, which holds `metrics/`.

    Raises:
      FileNotFoundError: if an output is missing, with the stage that makes it.
      ValueError: if the summary holds no cell.
    """
    summary = _read(root, "evaluate/summary.json", read_json)
    if not summary:
        raise ValueError("expected at least one cell in metrics/evaluate/summary.json, found none")
    comparisons = _read(root, "evaluate/comparisons.json", read_json)
    shapes = _read(root, "evaluate/episodes.npz", _shapes)
    cells = [
        _read_cell(root, name, shapes[name][1], entry, comparisons.get(name, {}))
        for name, entry in summary.items()
    ]
    sections = tuple(
        Section(
            environment,
            _read(root, f"setup/environments/{environment}.json", read_json),
            {(c.algorithm, c.strategy): c for c in cells if c.environment == environment},
            _bytes(root / f"metrics/report/{environment}-best.gif"),
        )
        for environment in sorted({cell.environment for cell in cells})
    )
    return Study(sections, _read(root, "setup/versions.json", read_json)["packages"])


def _read_cell(
    root: Path, name: str, num_episodes: int, summary: Mapping, comparisons: Mapping
) -> Cell:
    training = _read(root, f"train/{name}/record.json", Run.read)
    tuning = _read(root, f"tune/{name}/record.json", Run.read)
    best = _read(root, f"tune/{name}/best.json", read_json)
    return Cell(name, num_episodes, summary, comparisons, training, tuning, best)


def _read(root: Path, name: str, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(root / "metrics" / name)
    except FileNotFoundError as error:
        stage = name.split("/")[0]
        raise FileNotFoundError(
            f"the report needs metrics/{name}, which is missing: run `dvc repro {stage}`"
        ) from error


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].shape for name in arrays.files}


def _ordered(names: Iterable[str], order: Iterable[str]) -> list[str]:
    ranks = {name: rank for rank, name in enumerate(order)}
    return sorted(names, key=lambda name: (ranks.get(name, len(ranks)), name))

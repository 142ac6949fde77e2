"""An invented study: plausible files of the stages before the report, without training anything."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pamdp.algorithms import ALGORITHMS
from pamdp.comparisons import Comparisons
from pamdp.files import write_arrays, write_json
from pamdp.learning.cell import CellName
from pamdp.records import Run
from pamdp.reporting.data import Section, read_study
from pamdp.statistics import Measured, summarise
from pamdp.strategies import STRATEGIES as KINDS
from pamdp.verdicts import compare

STRATEGIES = (
    "plain",
    "zeroing",
    "squashing",
    "inverting",
    "reversal",
    "selective",
    "pseudo_inverse",
)
LEVELS: dict[str, float] = dict(
    zip(STRATEGIES, (0.62, 0.78, 0.93, 0.96, 0.66, 0.6, 0.71), strict=True)
)
CLIPPED: dict[str, float] = dict(
    zip(STRATEGIES, (0.58, 0.12, 0.0, 0.004, 0.49, 0.55, 0.4), strict=True)
)
RATE, HIDDEN = "learner.q.learning_rate", "learner.q.hidden"
NUM_EPISODES = 40
STEPS = range(0, 40_001, 1_000)


@dataclass(frozen=True)
class Fake:
    """What is invented: the mean return of each cell, how much was run, how much it varies.

    Attributes:
      levels: mean return by cell.
      num_seeds: of each cell.
      num_trials: of each cell.
      spread: of returns, between seeds and between the episodes of a seed.
      kinds: of the algorithms and strategies that are not named after their kind.
      means: what was measured of each cell besides, by name.
      comparisons: what is compared.
    """

    levels: Mapping[str, float]
    num_seeds: int = 6
    num_trials: int = 8
    spread: float = 0.02
    kinds: Mapping[str, str] = field(default_factory=dict)
    means: Mapping[str, float] = field(default_factory=dict)
    comparisons: Comparisons = field(default_factory=Comparisons)


def grid(environment: str = "platform", algorithms: tuple[str, ...] = ("pdqn", "mpdqn")) -> dict:
    return {
        f"{environment}-{algorithm}-{strategy}": level + 0.02 * (algorithm == "mpdqn")
        for algorithm in algorithms
        for strategy, level in LEVELS.items()
    }


def write_inputs(root: Path, fake: Fake) -> None:
    """Writes every file that the report reads."""
    metrics, rng = root / "metrics", np.random.default_rng(1)
    seeds = range(1, fake.num_seeds + 1)
    returns, measured, summary = {}, {}, {}
    for cell, level in fake.levels.items():
        scores = np.clip(level + fake.spread * rng.normal(size=(fake.num_seeds, 1)), 0.05, 0.995)
        episodes = scores + fake.spread * rng.normal(size=(fake.num_seeds, NUM_EPISODES))
        returns[cell] = episodes.astype(np.float32)
        curves = [_curve(score, rng) for score in scores[:, 0]]
        _write_records(metrics, cell, curves, rng, fake.num_trials)
        clipped = CLIPPED.get(CellName.parse(cell).strategy, 0.3)
        shares = {"clipped_share": clipped, "near_bound_share": clipped * 1.1 + 0.02}
        measured[cell] = Measured(
            seeds=seeds,
            returns=returns[cell],
            lengths=np.full_like(returns[cell], 8),
            successes=returns[cell] >= 0.95,
            curves=curves,
            threshold=0.9,
            means={**shares, **fake.means},
        )
        summary[cell] = summarise(measured[cell], np.random.default_rng(7)) | {
            "random_policy": {"mean": 0.2913},
            "initial_parameters": "none",
        }
    write_json(metrics / "evaluate/summary.json", summary)
    entries = compare(fake.comparisons, measured, lambda _: np.random.default_rng(8))
    write_json(metrics / "evaluate/comparisons.json", entries)
    write_arrays(metrics / "evaluate/episodes.npz", returns)
    _write_setup(metrics, fake)


def section_of(root: Path, fake: Fake) -> Section:
    """The first environment of an invented study."""
    write_inputs(root, fake)
    return read_study(root).sections[0]


def _curve(score: float, rng: np.random.Generator) -> list[tuple[int, float]]:
    rate = rng.uniform(4_000, 9_000)
    noise = 0.02 * rng.normal(size=len(STEPS))
    points = zip(STEPS, noise, strict=True)
    return [(s, float(score - (score - 0.2) * np.exp(-s / rate) + n)) for s, n in points]


def _write_records(metrics: Path, cell: str, curves: list, rng, num_trials: int) -> None:
    parameters = {"learner.gamma": 0.9, "training.num_steps": 40_000, "study.cell": cell}
    parameters |= {f"learner.{name}.learning_rate": 1e-3 for name in ("q", "parameters")}
    children = [
        Run(
            key=f"train/{cell}/seed-{seed}",
            fingerprint="f",
            tags={"seed": str(seed)},
            metrics={"eval/return": curve},
        )
        for seed, curve in enumerate(curves, 1)
    ]
    parent = Run(key=f"train/{cell}", fingerprint="f", parameters=parameters, children=children)
    parent.write(metrics / "train" / cell / "record.json")
    scores = curves[0][-1][1] - rng.exponential(0.08, size=num_trials)
    drawn = np.random.default_rng(9)
    trials = [
        Run(
            key=f"tune/{cell}/trial-{n}",
            fingerprint="f",
            parameters={
                RATE: float(10 ** drawn.uniform(-4, -2)),
                HIDDEN: ("[32]", "[32, 32]")[n % 2],
            },
            metrics={"score": [(20_000, float(score))]} if n != 3 else {},
        )
        for n, score in enumerate(scores)
    ]
    space = {"tuning.space.0.path": RATE, "tuning.space.0.log": True, "tuning.space.1.path": HIDDEN}
    tuning = Run(key=f"tune/{cell}", fingerprint="f", parameters=space, children=trials)
    tuning.write(metrics / "tune" / cell / "record.json")
    values = {"learner.q.learning_rate": 0.00123, "learner.parameters.learning_rate": 0.000217}
    write_json(
        metrics / "tune" / cell / "importance.json", {RATE: 0.75, HIDDEN: 0.25} if trials else {}
    )
    best = {"values": values, "score": float(scores.max())} if num_trials else {}
    write_json(metrics / "tune" / cell / "best.json", best or {"values": {}, "score": None})


def _write_setup(metrics: Path, fake: Fake) -> None:
    cells = [CellName.parse(cell) for cell in fake.levels]
    names = {"run": [30.0], "hop": [720.0], "leap": [430.0], "wait": []}
    facts = {
        "observation": {"shape": [9], "low": [0.0] * 9, "high": [1.0] * 9},
        "actions": [
            {"name": name, "low": [0.0] * len(high), "high": high} for name, high in names.items()
        ],
        "max_episode_steps": 200,
        "random_policy": {
            "episodes": 20_000,
            "return_mean": 0.2913,
            "return_std": 0.2401,
            "length_mean": 3.2,
            "length_std": 1.9,
        },
    }
    for name in {cell.environment for cell in cells}:
        described = facts | {"id": f"pamdp/{name.title()}-v0"}
        write_json(metrics / f"setup/environments/{name}.json", described)
    packages = {"numpy": "2.4.6", "tensorflow": "2.21.0", "matplotlib": "3.11.2"}
    write_json(metrics / "setup/versions.json", {"packages": packages})
    words = {
        "algorithms": _words({cell.algorithm for cell in cells}, ALGORITHMS, fake),
        "strategies": _words({cell.strategy for cell in cells}, KINDS, fake),
    }
    write_json(metrics / "setup/descriptions.json", words)


def _words(names: Iterable[str], classes: Mapping, fake: Fake) -> dict[str, dict[str, str]]:
    """What each name stands for, in the words of its class."""
    kinds = {name: fake.kinds.get(name, name) for name in names}
    return {
        name: {"kind": kind}
        | {word: getattr(classes[kind], word) for word in ("title", "rule", "reference")}
        for name, kind in kinds.items()
    }

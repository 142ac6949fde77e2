"""How well a trial of the search tells how its settings do in the end, and what tuning gains.

`python -m benchmarks.designs` trains random settings of the search space in full, each with seeds
of the search and with fresh ones, and keeps their learning curves in `benchmarks/designs.json`;
what is there already is not trained again. From the curves it works out what trials of other
lengths, seeds and scores would have said, and writes the tables of `docs/tuning.md`. All random
numbers are fixed. With `--page` it trains nothing.
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from benchmarks.measures import ROOT

PAGE = ROOT / "docs" / "tuning.md"
FILE = ROOT / "benchmarks" / "designs.json"
BEGIN = "<!-- what follows is written by `python -m benchmarks.designs` -->\n"
END = "<!-- until here -->\n"

ENVIRONMENT = "platform"
CELLS = (("pdqn", "inverting"),)
SPACE = {  # of params.yaml, as far as the cells have it: logarithmic ranges
    "learner.q.learning_rate": (3e-4, 3e-3),
    "learner.parameters.learning_rate": (1e-5, 1e-3),
}
SETTINGS = 16  # drawn, after those that stand in params.yaml
SEARCH = (1001, 1002, 1003, 1004)  # seeds of trials
FRESH = (1, 2, 3, 4, 5)  # of the final runs
BUDGET = 2.0  # full training runs for a search of a cell: 8 trials of a quarter
BOOTSTRAPS = 1_000
REPEATS = 4_000  # searches with other settings and seeds, of each design
DIGITS = 4  # that are kept of a return

Array = np.ndarray


@dataclass(frozen=True)
class Design:
    """What a trial is.

    Attributes:
      seeds: a trial.
      share: of the training, its length.
      whole: whether its score is the mean of its curve, and not of the last two points.
    """

    seeds: int
    share: float
    whole: bool

    @property
    def trials(self) -> int:
        """How many the budget pays for."""
        return min(int(BUDGET / (self.seeds * self.share)), SETTINGS + 1)

    def scores(self, curves: Array) -> Array:
        """Scores [..., settings] of curves [..., settings, seeds, points]."""
        length = round(self.share * curves.shape[-1])
        points = curves[..., : self.seeds, :length]
        return points[..., slice(None) if self.whole else slice(-2, None)].mean(axis=(-2, -1))


DESIGNS = [
    Design(seeds, share, whole)
    for seeds, share in ((1, 0.25), (2, 0.25), (4, 0.25), (1, 0.5), (2, 0.5), (1, 1.0))
    for whole in (False, True)
]
CURRENT = DESIGNS[0]


def settings() -> list[dict[str, float]]:
    """Changes of a cell: none, then drawn ones."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(SETTINGS):
        values = {k: float(np.exp(rng.uniform(*np.log(ends)))) for k, ends in SPACE.items()}
        drawn.append(values)
    return [{}, *drawn]


def trained(known: dict[str, list[float]], workers: int) -> None:
    """Adds the learning curves that are not known, by cell, number of the settings and seed."""
    import pamdp

    def run(key: str) -> tuple[str, list[float]]:
        name, number, seed = key.split("/")
        changes = settings()[int(number)]
        cell = pamdp.cell(ENVIRONMENT, *name.split("-"), changes, params=ROOT / "params.yaml")
        points = pamdp.train(cell, seed=int(seed)).points
        return key, [round(float(point.metrics["eval/return"]), DIGITS) for point in points]

    missing = [key for key in runs() if key not in known]
    with ThreadPoolExecutor(workers) as pool:
        for index, (key, curve) in enumerate(pool.map(run, missing), 1):
            known[key] = curve
            if index % 20 == 0 or index == len(missing):
                FILE.write_text(json.dumps(known, separators=(",", ":")) + "\n")
                print(f"{index} of {len(missing)} runs", flush=True)


def runs() -> Iterator[str]:
    """All runs: cell, number of the settings, seed."""
    for algorithm, strategy in CELLS:
        for number in range(SETTINGS + 1):
            for seed in (*SEARCH, *FRESH):
                yield f"{algorithm}-{strategy}/{number}/{seed}"


def curves(known: Mapping[str, list[float]], cell: str, seeds: tuple[int, ...]) -> Array:
    """[settings, seeds, points] of a cell."""
    return np.array([[known[f"{cell}/{n}/{seed}"] for seed in seeds] for n in range(SETTINGS + 1)])


def final(known: Mapping[str, list[float]], cell: str) -> Array:
    """[settings, fresh seeds] final returns: the last two points, as a trial's score has them."""
    return curves(known, cell, FRESH)[..., -2:].mean(axis=-1)


def correlation(design: Design, searched: Array, finals: Array) -> tuple[float, float, float]:
    """Spearman's rank correlation of score and final mean over settings, and its 95 % bootstrap.

    It is the mean over which seeds of the search a trial has; the interval is over settings.
    """
    mean, rng = finals.mean(axis=-1), np.random.default_rng(1)
    # Seeds in turn: each of them is the first of one order, so that none stands for all.
    orders = [np.roll(np.arange(len(SEARCH)), -first) for first in range(len(SEARCH))]
    scores = np.array([design.scores(searched[:, order]) for order in orders])

    def value(some: Array) -> float:
        found = [spearmanr(score[some], mean[some]).statistic for score in scores]
        return float(np.mean(found))

    drawn = [value(rng.integers(len(mean), size=len(mean))) for _ in range(BOOTSTRAPS)]
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return value(np.arange(len(mean))), float(low), float(high)


def gains(design: Design, searched: Array, finals: Array) -> tuple[float, float, float]:
    """What the settings chosen gain over those that stand, on fresh seeds: mean, 95 % interval.

    Each repeat is a search among other settings, with other seeds; trial 0 is what stands.
    """
    rng = np.random.default_rng(2)
    gained = np.empty(REPEATS)
    for repeat in range(REPEATS):
        some = 1 + rng.permutation(SETTINGS)[: design.trials - 1]
        tried = np.array([0, *some])
        order = rng.permutation(len(SEARCH))
        chosen = tried[np.argmax(design.scores(searched[tried][:, order]))]
        seeds = rng.integers(len(FRESH), size=len(FRESH))
        gained[repeat] = finals[chosen, seeds].mean() - finals[0, seeds].mean()
    low, high = np.percentile(gained, [2.5, 97.5])
    return float(gained.mean()), float(low), float(high)


def tables(known: Mapping[str, list[float]]) -> Iterator[str]:
    """Markdown."""
    names = ["-".join(cell) for cell in CELLS]
    header = ["seeds", "length", "score", "trials", *(f"`{name}`" for name in names)]
    data = {name: (curves(known, name, SEARCH), final(known, name)) for name in names}
    yield (
        f"Rank correlation (Spearman) of a trial's score with the mean final return over "
        f"{len(FRESH)} fresh seeds, on {ENVIRONMENT.title()}, over the settings that stand and "
        f"{SETTINGS} drawn ones; 95 % bootstrap over settings:"
    )
    yield _table(
        [*header[:3], *header[4:]],
        [
            [*_words(design), *(_interval(correlation(design, *data[name])) for name in names)]
            for design in DESIGNS
        ],
    )
    yield (
        f"Gain in mean final return of the settings chosen over those that stand, on fresh seeds. "
        f"Each search costs {BUDGET:g} full training runs, and its trials are random draws, not "
        f"suggested by TPE; mean and 95 % range of {REPEATS:,} searches, each with other settings, "
        "seeds of trials and fresh seeds of these:"
    )
    yield _table(
        header,
        [
            [
                *_words(design),
                str(design.trials),
                *(_interval(gains(design, *data[name]), "+.3f") for name in names),
            ]
            for design in DESIGNS
        ],
    )
    stand = (f"`{name}` {data[name][1][0].mean():.3f}" for name in names)
    yield f"Mean final return of the settings as they stand: {', '.join(stand)}."


def _words(design: Design) -> list[str]:
    mark = " (as it is)" if design == CURRENT else ""
    score = "mean of the curve" if design.whole else "last two points"
    return [str(design.seeds), f"{design.share:g}", score + mark]


def _interval(found: tuple[float, float, float], form: str = ".2f") -> str:
    value, low, high = (format(each, form) for each in found)
    return f"{value} [{low}, {high}]"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---:", "---:", "---", *["---:"] * (len(header) - 3)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Trains what is missing, and writes the tables."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="only write the tables anew")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at a time")
    options = parser.parse_args()
    known = json.loads(FILE.read_text()) if FILE.is_file() else {}
    if not options.page:
        trained(known, options.workers)
    text = "\n\n".join(tables(known))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()

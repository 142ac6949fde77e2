"""Error rates of the verdicts and coverage of the intervals, by simulation.

`python -m benchmarks.error_rates` writes the tables of `docs/statistics.md`, the same each time.
With `--study FOLDER` it says how the seeds of a study's cells are correlated, and writes nothing.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from zlib import crc32

import numpy as np

from benchmarks.measures import ROOT
from pamdp import statistics
from pamdp.significance import LEVEL, holm, least_seeds, mann_whitney, smallest_p

PAGE = ROOT / "docs" / "statistics.md"
BEGIN = "<!-- what follows is written by `python -m benchmarks.error_rates` -->\n"
END = "<!-- until here -->\n"

SEEDS = (5, 8, 10, 20)  # a cell
SIZES = (1, 6, 7, 12, 31, 54)  # of families
ALGORITHMS, STRATEGIES = 2, 6  # beside the reference: the family of the default study
STUDIES = 4_000  # simulated of each kind
TRUTH = 1_000_000  # draws of each cell, for the true mean and probability
ROUNDING = 1e-9  # of a million summed scores

Array = np.ndarray
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def _near_one(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
    """As `inverting` on Platform: nearly all that can be had, some seeds exactly so."""
    return np.minimum(1.0, rng.normal(0.9995, 0.0007, size))


def _failing(share: float) -> Draw:
    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> Array:
        failed = rng.random(size) < share
        return np.where(failed, rng.normal(0.3, 0.03, size), _near_one(rng, size))

    return draw


def _normal(mean: float = 0.0, std: float = 1.0) -> Draw:
    return lambda rng, size: rng.normal(mean, std, size)


def _reached(share: float) -> Draw:
    return lambda rng, size: (rng.random(size) < share).astype(np.float64)


SHAPES: Mapping[str, Draw] = {
    "normal": _normal(),
    "near 1, with a ceiling": _near_one,
    "1 in 5 seeds fails": _failing(0.2),
    "half of the seeds fail": _failing(0.5),
    "anything from 0.3 to 1": lambda rng, size: rng.uniform(0.3, 1.0, size),
    "ten values": lambda rng, size: rng.integers(1, 11, size) / 10,
    "above the threshold: 4 in 5": _reached(0.8),
}
# A cell and its reference, which differ.
EFFECTS: Mapping[str, tuple[Draw, Draw]] = {
    "normal, 1 deviation apart": (_normal(1), _normal()),
    "normal, 2 deviations apart": (_normal(2), _normal()),
    "normal, 3 deviations apart": (_normal(3), _normal()),
    "1 in 5 fails, the other near 1": (_failing(0.2), _near_one),
    "half fail, the other near 1": (_failing(0.5), _near_one),
    "0.3 to 1, the other near 1": (SHAPES["anything from 0.3 to 1"], _near_one),
    "above the threshold: half, and all": (_reached(0.5), _reached(1.0)),
}
# As probable to be better as to be worse, and yet not of one distribution.
UNLIKE: Mapping[str, tuple[Draw, Draw]] = {
    "normal, 3 times as wide as the reference": (_normal(std=3.0), _normal()),
    "normal, the reference 3 times as wide": (_normal(), _normal(std=3.0)),
}


def verdicts(rng: np.random.Generator, cells: list[Draw], reference: Draw, seeds: int) -> Array:
    """Whether each cell of a family has one, `[algorithms, strategies]`, in a simulated study."""
    p = []
    for _ in range(ALGORITHMS):
        others = reference(rng, (seeds,))
        p += [mann_whitney(cell(rng, (seeds,)), others) for cell in cells]
    return np.array(holm(p)).reshape(ALGORITHMS, STRATEGIES) <= LEVEL


def false_verdicts(label: str, shape: Draw, seeds: int, num_unlike: int) -> float:
    """The share of families with a verdict where there is no difference.

    Args:
      label: of the random numbers.
      shape: of the reference and of all cells that do not differ from it.
      seeds: of a cell.
      num_unlike: strategies that lie far below the others, so that most of them have a verdict.
    """
    rng, found = _generator("false", label, seeds, num_unlike), 0
    cells: list[Draw] = [lambda rng, size: shape(rng, size) - 100] * num_unlike
    cells += [shape] * (STRATEGIES - num_unlike)
    for _ in range(STUDIES):
        found += bool(verdicts(rng, cells, shape, seeds)[:, num_unlike:].any())
    return found / STUDIES


def wrong(label: str, effect: tuple[Draw, Draw], seeds: int) -> float:
    """The share of families with a verdict where all cells are as probable to be better."""
    rng, (cell, reference) = _generator("unlike", label, seeds), effect
    found = (verdicts(rng, [cell] * STRATEGIES, reference, seeds) for _ in range(STUDIES))
    return sum(bool(each.any()) for each in found) / STUDIES


def power(label: str, effect: tuple[Draw, Draw], seeds: int) -> float:
    """The share of comparisons with a verdict where one strategy differs, with all algorithms."""
    rng, (cell, reference) = _generator("power", label, seeds), effect
    cells = [cell] + [reference] * (STRATEGIES - 1)
    found = (verdicts(rng, cells, reference, seeds) for _ in range(STUDIES))
    return sum(each[:, 0].mean() for each in found) / STUDIES


def coverage(label: str, effect: tuple[Draw, Draw], seeds: int) -> tuple[float, float, float]:
    """How often intervals hold the truth: of mean, difference of means, and probability."""
    rng, (cell, reference) = _generator("coverage", label, seeds), effect
    x, y = np.sort(cell(rng, (TRUTH,))), np.sort(reference(rng, (TRUTH,)))
    below = (np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")) / 2
    truth = np.array([x.mean(), x.mean() - y.mean(), below.mean() / TRUTH])
    held = np.zeros(3)
    for _ in range(STUDIES):
        x, y = cell(rng, (seeds,)), reference(rng, (seeds,))
        found = np.array(
            [
                statistics.bootstrap(x, statistics.mean, rng),
                statistics.difference_of_means(x, y, rng),
                statistics.probability_of_improvement(x, y, rng),
            ]
        )
        held += (found[:, 1] <= truth + ROUNDING) & (truth - ROUNDING <= found[:, 2])
    mean, difference, probability = held / STUDIES
    return mean, difference, probability


def tables() -> Iterator[str]:
    """The tables of the page, in Markdown."""
    rows = [
        (str(size), str(least_seeds(size)), f"{size * smallest_p(least_seeds(size)):.3f}")
        for size in SIZES
    ]
    yield _table(("comparisons in the family", "least seeds a cell", "smallest corrected p"), rows)
    header = ("scores of all cells", *(f"{n} seeds" for n in SEEDS))
    for number, what in ((0, "no cell differs"), (3, "half of the strategies differ")):
        rows = _rows(false_verdicts, [(name, draw) for name, draw in SHAPES.items()], number)
        yield f"Families with a false verdict, where {what}:\n\n{_table(header, rows)}"
    rows = _rows(wrong, [*UNLIKE.items()])
    yield (
        "Families with a verdict, where all cells are as probable to be better as to be worse than "
        f"their reference, and differ from it otherwise:\n\n{_table(header, rows)}"
    )
    rows = _rows(power, [*EFFECTS.items()])
    header = ("a cell and its reference", *header[1:])
    yield f"Comparisons with a verdict, where there is a difference:\n\n{_table(header, rows)}"
    same = [(name, (draw, draw)) for name, draw in SHAPES.items()]
    rows = _rows(coverage, [*same, *EFFECTS.items()])
    yield (
        "Intervals that hold the truth, of the mean of a cell / difference of means / "
        f"probability of improvement:\n\n{_table(header, rows)}"
    )


def _rows(measure: Callable, cases: list[tuple], *more: int) -> list[tuple[str, ...]]:
    rows = []
    for name, drawn in cases:
        texts = []
        for seeds in SEEDS:
            found = measure(name, drawn, seeds, *more)
            found = found if isinstance(found, tuple) else (found,)
            texts.append(" / ".join(f"{100 * share:.1f} %" for share in found))
        print(name, *texts, flush=True)
        rows.append((name, *texts))
    return rows


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = (header, ("---", *["---:"] * (len(header) - 1)), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _generator(*names: object) -> np.random.Generator:
    return np.random.default_rng(crc32(repr(names).encode()))


def seed_correlation(study: Path) -> str:
    """What the same seed has in common in two cells: the mean rank correlation over all pairs.

    Args:
      study: its folder.
    """
    summary = json.loads((study / "metrics/evaluate/summary.json").read_text())
    scores = np.array([[seed["mean"] for seed in cell["per_seed"]] for cell in summary.values()])
    ranks = scores.argsort().argsort()  # [cells, seeds]
    rng = np.random.default_rng(0)
    shuffled = [_mean_correlation(rng.permuted(ranks, axis=1)) for _ in range(1_000)]
    return (
        f"{len(scores)} cells of {scores.shape[1]} seeds: mean rank correlation "
        f"{_mean_correlation(ranks):.3f}; by chance 0 with deviation {np.std(shuffled):.3f}"
    )


def _mean_correlation(ranks: Array) -> float:
    found = np.corrcoef(ranks)
    return float(found[np.triu_indices(len(found), 1)].mean())


def main() -> None:
    """Writes the tables, or tells the correlation."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, help="only tell how its seeds are correlated")
    folder = parser.parse_args().study
    if folder is not None:
        print(seed_correlation(folder))
        return
    text = "\n\n".join(tables())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()

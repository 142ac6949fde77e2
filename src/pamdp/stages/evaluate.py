"""Plays greedy episodes with all seeds of all cells, and compares the cells."""

from __future__ import annotations

import zlib
from argparse import Namespace
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import groupby

import numpy as np

from pamdp import statistics
from pamdp.checkout import Checkout
from pamdp.engines import Engine
from pamdp.evaluation import MEASURES, evaluate
from pamdp.files import read_json, write_arrays, write_json
from pamdp.learning.cell import Cell
from pamdp.learning.rollout import Episodes
from pamdp.progress import Progress
from pamdp.records import Facts, Run
from pamdp.stages.engine import engine_for, suited
from pamdp.stages.facts import thresholds
from pamdp.stages.results import cells, checked_fact, initial_parameters, packed, saved, tuned
from pamdp.tracking import collect, open_sink
from pamdp.verdicts import compare

BySeed = dict[int, Episodes]


def run(_: Namespace) -> None:
    """Evaluates the study."""
    evaluate_study(Checkout.here())


def evaluate_study(checkout: Checkout) -> None:
    """Evaluates all seeds of all cells and writes `metrics/evaluate/`."""
    settings = checkout.settings
    episodes: dict[str, BySeed] = {}
    with (
        open_sink(settings.study.name, checkout.root) as sink,
        Progress("evaluate", len(settings.cells), "cell") as progress,
    ):
        blocks = {name: settings.environments[name] for name in settings.study.environments}
        checked_fact(checkout, "thresholds", thresholds(blocks))
        checked_fact(checkout, "comparisons", settings.comparisons.model_dump(mode="json"))
        studied = cells(checkout)
        with closing(played(checkout, studied)) as found:
            for cell, by_seed in zip(studied, found, strict=True):
                episodes[str(cell.name)] = by_seed
                progress.update(1)
                # MLflow, which takes seconds to load, gets ready meanwhile.
                sink.put(_training(checkout, cell), final=True)
        summarise(checkout, episodes)
        for record in collect(checkout.root):
            if record.key != "report":  # it is of earlier results, until that stage has run
                sink.put(record, final=True)


def played(checkout: Checkout, cells: Sequence[Cell]) -> Generator[BySeed]:
    """The final greedy episodes of some cells, one cell after another, by seed."""
    num_seeds = len(checkout.settings.study.seeds)
    for _, group in groupby(cells, suited):
        some = [*group]
        with engine_for(checkout, some, len(some) * num_seeds) as engine:
            yield from _played_on(engine, checkout, some)


def _played_on(engine: Engine, checkout: Checkout, cells: Sequence[Cell]) -> Iterator[BySeed]:
    """The same on one engine, to which no more are given than it takes to keep it busy.

    So memory never holds the weights of all cells.
    """
    number = checkout.settings.evaluation.episodes
    under_way: deque[dict[int, int]] = deque()  # of each cell its tasks, by seed

    def ended() -> BySeed:
        return {seed: engine.result(task) for seed, task in under_way.popleft().items()}

    for cell in (tuned(checkout, cell) for cell in cells):
        under_way.append(
            {
                seed: engine.submit(_evaluate, cell, leaves, seed, number)
                for seed, leaves in saved(checkout, cell).items()
            }
        )
        while sum(map(len, under_way)) - len(under_way[0]) >= engine.num_workers:
            yield ended()
    while under_way:
        yield ended()


def _evaluate(cell: Cell, leaves: Sequence[np.ndarray], seed: int, num_episodes: int) -> Episodes:
    """A task: `evaluate`, given the leaves of a seed's weights."""
    return evaluate(cell, packed(cell, leaves), seed, num_episodes)


def summarise(checkout: Checkout, episodes: dict[str, BySeed]) -> None:
    """Writes `metrics/evaluate/` from the episodes of all cells and seeds."""
    settings = checkout.settings
    returns = {name: _stacked(seeds, "returns") for name, seeds in episodes.items()}
    summary, measured = {}, {}
    for cell in settings.cells:
        name, environment = str(cell.name), cell.name.environment
        facts = read_json(checkout.setup / "environments" / f"{environment}.json", Facts)
        seeds = episodes[name]
        measured[name] = statistics.Measured(
            seeds=list(seeds),
            returns=returns[name],
            lengths=_stacked(seeds, "lengths"),
            successes=_stacked(seeds, "successes"),
            curves=[run.metrics["eval/return"] for run in _training(checkout, cell).children],
            threshold=settings.environments[environment].return_threshold,
            means={
                measure: float(np.mean([each.means[measure] for each in seeds.values()]))
                for measure in MEASURES
            },
        )
        # A generator for each cell: its intervals do not depend on which other cells there are.
        summary[name] = statistics.summarise(measured[name], _generator(name)) | {
            "random_policy": {"mean": float(facts["random_policy"]["return_mean"])},
            "initial_parameters": initial_parameters(cell),
        }
    write_json(checkout.evaluate / "summary.json", summary)
    comparisons = compare(settings.comparisons, measured, _generator)
    write_json(checkout.evaluate / "comparisons.json", comparisons)
    write_arrays(checkout.evaluate / "episodes.npz", returns)


def _training(checkout: Checkout, cell: Cell) -> Run:
    """The record of a cell's training."""
    return Run.read(checkout.train(cell.name) / "record.json")


def _stacked(seeds: BySeed, field: str) -> np.ndarray:
    """[seeds, episodes] float32."""
    return np.stack([getattr(episodes, field) for episodes in seeds.values()]).astype(np.float32)


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))

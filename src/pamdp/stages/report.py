"""Writes tables, figures, the film of the best policy, and the page that holds them."""

from __future__ import annotations

import shutil
from argparse import Namespace
from operator import itemgetter
from typing import Any

from pamdp.checkout import Checkout
from pamdp.files import read_json, write_json
from pamdp.ranking import best_cells, read_words
from pamdp.records import Run, Summary
from pamdp.reporting import write_report
from pamdp.stages import ahead, live, times
from pamdp.stages.results import cells, trained, tuned
from pamdp.tracking import collect, open_sink
from pamdp.watching import film

# What of the report git keeps: little enough for its history.
KEPT = ("results.md", "*-returns.svg", "*-curves-*.svg")
COMPARISONS = "comparisons.json"  # of the evaluation


def run(_: Namespace) -> None:
    """Reports the study."""
    checkout = Checkout.here()
    live.forget(checkout)
    film_best(checkout)
    print("report: writing tables, figures and the page", flush=True)
    write_report(checkout.root)
    keep(checkout)
    with open_sink(checkout.settings.study.name, checkout.root) as sink:
        for record in collect(checkout.root):
            sink.put(record, final=True)
        sink.show_study()
    page = checkout.report.relative_to(checkout.root) / "index.html"
    print(f"report: the page is {page}", flush=True)


def film_best(checkout: Checkout) -> None:
    """Writes `metrics/report/<environment>-best.gif`: an episode of its best cell's best seed."""
    summary = read_json(checkout.evaluate / "summary.json", Summary)
    best = best_cells(summary, read_words(checkout.root))
    subjects = {str(cell.name): cell for cell in cells(checkout)}
    for name in checkout.settings.study.environments:
        seed = max(summary[best[name]]["per_seed"], key=itemgetter("mean"))["seed"]
        print(f"report: filming {best[name]}, the best on {name}", flush=True)
        cell = tuned(checkout, subjects[best[name]])
        path = checkout.report / f"{name}-best.gif"
        film(cell, trained(checkout, cell)[seed], seed, path)


def keep(checkout: Checkout) -> None:
    """Writes `results/`, an output that git keeps and not DVC's cache, and times.json beside it."""
    shutil.rmtree(checkout.results, ignore_errors=True)
    checkout.results.mkdir()
    for pattern in KEPT:
        for path in checkout.report.glob(pattern):
            shutil.copyfile(path, checkout.results / path.name)
    shutil.copyfile(checkout.evaluate / COMPARISONS, checkout.results / COMPARISONS)
    ran = {str(cell.name): _ran(checkout, str(cell.name)) for cell in checkout.settings.cells}
    write_json(checkout.results / "cells.json", ran)
    results = {
        name: {
            "tune": (each["tune"], ahead.search(checkout, name)),
            "train": (each["train"], ahead.training(checkout, name, checkout.tune(name))),
        }
        for name, each in ran.items()
    }
    times.collect(checkout, results)


def _ran(checkout: Checkout, name: str) -> dict[str, Any]:
    """What was run of a cell, and the fingerprints of its records."""
    settings = checkout.settings
    tuning = Run.read(checkout.tune(name) / "record.json")
    training = Run.read(checkout.train(name) / "record.json")
    return {
        "seeds": len(training.children),
        "steps": settings.environments[settings.cell(name).name.environment].training.steps,
        "trials": len(tuning.children),
        "tune": tuning.fingerprint,
        "train": training.fingerprint,
    }

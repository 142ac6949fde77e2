"""Writes tables, figures, the film of the best policy, and the page that holds them."""

from __future__ import annotations

from argparse import Namespace
from operator import itemgetter

from pamdp.checkout import Checkout
from pamdp.files import read_json
from pamdp.ranking import best_cells, read_words
from pamdp.records import Summary
from pamdp.reporting import write_report
from pamdp.stages import live
from pamdp.stages.results import cells, trained, tuned
from pamdp.tracking import collect, open_sink
from pamdp.watching import film


def run(_: Namespace) -> None:
    """Reports the study."""
    checkout = Checkout.here()
    live.forget(checkout)
    film_best(checkout)
    print("report: writing tables, figures and the page", flush=True)
    write_report(checkout.root)
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

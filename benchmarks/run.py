"""Measures all cases, or some groups: `python -m benchmarks.run [--rounds 7] [GROUP ...]`.

The cases of a group are measured in turns, each in a process of its own, so that what else happens
on the machine meets all of them alike. Writes `benchmarks/results.json`, and from it the tables and
the figure of `docs/performance.md`.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.cases import CASES
from benchmarks.measures import ROOT

RESULTS = ROOT / "benchmarks" / "results.json"
PACKAGES = ("tensorflow", "numpy", "gymnasium", "torch")


class Worker:
    """A process that has prepared a case."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, str(CASES[name].cores)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.missing = self._answer().get("missing")

    def measure(self) -> dict[str, float]:
        """One measurement."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.name} failed; its own words stand above")
        return json.loads(line)


def measured(names: Iterable[str], rounds: int, progress: tqdm) -> dict[str, dict[str, Any]]:
    """Measures some cases in turns: by name their numbers, the first of which is not counted."""
    workers = []
    for name in names:
        worker = Worker(name)
        if worker.missing:
            progress.write(f"{name}: left out, {worker.missing} is not installed")
        else:
            workers.append(worker)
        progress.update(1)
    answers: dict[str, list[dict[str, float]]] = {worker.name: [] for worker in workers}
    for _ in range(1 + rounds):
        for worker in workers:
            answers[worker.name].append(worker.measure())
            progress.update(1)
    for worker in workers:
        worker.close()
    results = {}
    for name, rows in answers.items():
        values = sorted(row["value"] for row in rows[1:])
        low, _, high = statistics.quantiles(values, n=4)
        results[name] = {
            "group": CASES[name].group,
            "unit": CASES[name].unit,
            "median": statistics.median(values),
            "quartiles": [low, high],
            "peak_mb": max(row["peak_mb"] for row in rows),
        }
    return results


def machine() -> dict[str, Any]:
    """What the numbers belong to."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"processor": processor(), "python": platform.python_version(), "packages": found}


def processor() -> str:
    """Its name, and how many of its cores there are."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


def main() -> None:
    groups = list(dict.fromkeys(case.group for case in CASES.values()))
    parser = ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(groups))
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each case")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(groups):
        parser.error(f"groups: expected some of {', '.join(groups)}, received {', '.join(unknown)}")
    if options.rounds < 2:
        parser.error(f"--rounds: expected at least 2, for a spread, received {options.rounds}")
    old = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    # Numbers of another machine, or of other versions, do not belong beside these.
    kept = old["cases"] if old.get("machine") == machine() else {}
    chosen = {g: [n for n, c in CASES.items() if c.group == g] for g in options.groups or groups}
    total = sum(len(names) for names in chosen.values()) * (2 + options.rounds)
    cases = {name: kept[name] for name in CASES if name in kept}
    with tqdm(total=total, unit="measurement") as progress:
        for group, names in chosen.items():
            progress.set_description(group)
            cases |= measured(names, options.rounds, progress)
            results = {"machine": machine(), "cases": {n: cases[n] for n in CASES if n in cases}}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    report.write(json.loads(RESULTS.read_text()))


if __name__ == "__main__":
    main()

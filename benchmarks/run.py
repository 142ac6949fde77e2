"""Measures groups of cases, or all quick ones: `python -m benchmarks.run [--rounds 7] [GROUP ...]`.

The cases of a group are measured in turns, each in a process of its own, so that what else happens
on the machine meets all of them alike. Before and after each round work that is always the same
tells how fast the machine is; a round in a slow phase is measured again. Writes
`benchmarks/results.json`, and from it the tables and the figure of `docs/performance.md`.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report
from benchmarks.cases import CASES, LONG, PACES
from benchmarks.measures import ROOT

RESULTS = ROOT / "benchmarks" / "results.json"
PACKAGES = ("tensorflow", "numpy", "gymnasium")
SLOW = 1.15  # times the fastest that the machine has been so far
TRIES = 3  # of a round; the last one counts, however slow the machine is

Answer = dict[str, Any]


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

    def measure(self) -> Answer:
        """One measurement."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()

    def _answer(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.name} failed; its own words stand above")
        return json.loads(line)


class Pace:
    """How long the same work takes at the moment, beside the shortest that it ever took."""

    def __init__(self, measure: Callable[[], float]) -> None:
        self.measure = measure
        self.shortest = measure()
        self.slow_rounds = 0

    def steadily(self, work: Callable[[], Any]) -> Any:
        """What some work gives, done again while the machine is slower before or after it."""
        for _ in range(TRIES):
            paces = [self.measure()]
            result = work()
            paces.append(self.measure())
            self.shortest = min(self.shortest, *paces)
            if max(paces) <= SLOW * self.shortest:
                return result
        self.slow_rounds += 1
        return result


def workers_of(names: Sequence[str], tell: Callable[[str], None]) -> list[Worker]:
    """Those of the cases that can be measured here."""
    workers = []
    for name in names:
        worker = Worker(name)
        if worker.missing:
            tell(f"{name}: left out, {worker.missing} is not installed")
            worker.close()
        else:
            workers.append(worker)
    return workers


def measured(names: Sequence[str], rounds: int, progress: tqdm) -> dict[str, Answer]:
    """Measures some cases in turns: their numbers by name, without those of a first round."""
    paces = [*workers_of(PACES[:1], progress.write)] or workers_of(PACES[1:], progress.write)
    workers = workers_of(names, progress.write)
    progress.update(len(names))

    def turn() -> list[Answer]:
        return [worker.measure() for worker in workers]

    warm = turn()
    progress.update(len(names))
    pace = Pace(lambda: paces[0].measure()["value"])
    rows = []
    for _ in range(rounds):
        rows.append(pace.steadily(turn))
        progress.update(len(names))
    for worker in (*workers, *paces):
        worker.close()
    run = datetime.now(UTC).isoformat(timespec="seconds")
    results = {}
    for worker, first, *answers in zip(workers, warm, *rows, strict=True):
        case, values = CASES[worker.name], [answer["value"] for answer in answers]
        low, _, high = statistics.quantiles(values, n=4)
        results[worker.name] = {
            "group": case.group,
            "unit": case.unit,
            "run": run,
            "needs": needed(case.needs),
            "values": values,
            "median": statistics.median(values),
            "quartiles": [low, high],
            "slow_rounds": pace.slow_rounds,
            "peak_mb": max(answer["peak_mb"] for answer in (first, *answers)),
        }
    return results


def needed(package: str | None) -> str | None:
    """A package with its version; a program by its name alone."""
    try:
        return package and f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def machine() -> dict[str, Any]:
    """What numbers of ours belong to: processor, Python and packages."""
    packages = {name: version(name) for name in PACKAGES}
    return {"processor": processor(), "python": platform.python_version(), "packages": packages}


def processor() -> str:
    """Its name, and how many of its cores there are."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()


def kept(here: dict[str, Any], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of all machines, those of the one at hand last."""
    others = [each for each in results if each["machine"] != here]
    own = [each for each in results if each["machine"] == here]
    return [*others, own[0] if own else {"machine": here, "cases": {}}]


def main() -> None:
    groups = list(dict.fromkeys(case.group for case in CASES.values()))
    parser = ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(groups))
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each case")
    parser.add_argument("--page", action="store_true", help="only write tables and figure anew")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(groups):
        parser.error(f"groups: expected some of {', '.join(groups)}, received {', '.join(unknown)}")
    if options.rounds < 2:
        parser.error(f"--rounds: expected at least 2, for a spread, received {options.rounds}")
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    if not options.page:
        results = kept(machine(), results)
        quick = [group for group in groups if group not in LONG]
        measure(results, options.groups or quick, options.rounds)
    report.write(results)


def measure(results: list[dict[str, Any]], groups: Sequence[str], rounds: int) -> None:
    """Measures some groups on this machine, whose results are the last, and writes each at once."""
    chosen = {group: [n for n, c in CASES.items() if c.group == group] for group in groups}
    total = sum(len(names) for names in chosen.values()) * (2 + rounds)
    with tqdm(total=total, unit="measurement") as progress:
        for group, names in chosen.items():
            progress.set_description(group)
            cases = results[-1]["cases"] | measured(names, rounds, progress)
            results[-1]["cases"] = {name: cases[name] for name in CASES if name in cases}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

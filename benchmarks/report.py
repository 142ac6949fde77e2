"""The tables and the figure of `docs/performance.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from statistics import quantiles
from typing import Any

from benchmarks.cases import LOOPS
from benchmarks.measures import ROOT

PAGE = ROOT / "docs" / "performance.md"
FIGURE = ROOT / "docs" / "images" / "performance.svg"
BEGIN, END = "<!-- what follows is written by `make bench` -->\n", "<!-- until here -->\n"
FIRST = "compiled loop"
SEEDS = re.compile(r", (\d+) seeds$")
HEADINGS = ("acting", "tracking", "study")  # of the second table

Cases = dict[str, dict[str, Any]]


def write(results: list[dict[str, Any]]) -> None:
    """Writes tables and figure from the results of all machines, and leaves the rest of the page.

    Args:
      results: of each machine its description and its cases; that measured last comes last.
    """
    parts = []
    for each in reversed(results):
        cases = each["cases"]
        tables = _loops(cases), _ratios(cases), _acting(cases), _growth(cases), vector_table(cases)
        parts += [_machine(each), *filter(None, tables)]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + "\n\n".join(parts) + "\n\n" + END + after)
    drawn = [each["cases"] for each in results if _problems(each["cases"])]
    if drawn:
        _draw(drawn[-1])


def _machine(result: dict[str, Any]) -> str:
    machine, cases = result["machine"], result["cases"].values()
    versions = {name: f"{name} {number}" for name, number in machine["packages"].items()}
    peers = dict.fromkeys(case["needs"] for case in cases if case.get("needs"))
    packages = ", ".join([*versions.values(), *peers])
    slow = {
        case["run"]: (case["slow_rounds"], len(case["values"])) for case in cases if "run" in case
    }
    number, rounds = map(sum, zip(*slow.values(), strict=True)) if slow else (0, 0)
    note = f" In {number} of {rounds} rounds the machine stayed slow." if number else ""
    return f"Measured on: {machine['processor']}; Python {machine['python']}, {packages}.{note}"


def _problems(cases: Cases) -> list[str]:
    """The groups of loops that were measured."""
    groups = dict.fromkeys(case["group"] for case in cases.values())
    return [group for group in groups if group in LOOPS]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is words; nothing without rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    rule = "|---|" + "---:|" * (len(head) - 1)
    return "\n".join(["| " + " | ".join(head) + " |", rule, *lines])


def _seeds(name: str) -> int:
    found = SEEDS.search(name)
    return int(found[1]) if found else 1


def _loops(cases: Cases) -> str:
    head = [
        "environment, algorithm: loop",
        "microseconds a step [quartiles]",
        "steps a second",
        "memory",
    ]
    rows = [
        [
            name + _earlier(cases, case),
            _spread(case),
            f"{_seeds(name) * 1e6 / case['median']:,.0f}",
            f"{case['peak_mb']:,.0f} MB",
        ]
        for name, case in cases.items()
        if case["group"] in LOOPS
    ]
    return _table(head, rows)


def _earlier(cases: Cases, case: dict[str, Any]) -> str:
    """Says of a case that the last run of its group did not measure it."""
    runs = [each.get("run", "") for each in cases.values() if each["group"] == case["group"]]
    return "" if case.get("run", "") == max(runs) else f" (of an earlier run, {case['run'][:10]})"


def _ratios(cases: Cases) -> str:
    """How many times as fast as each peer the compiled loop is, and two seeds as one."""
    rows = []
    for problem in _problems(cases):
        first = cases.get(f"{problem}: {FIRST}")
        for name, case in cases.items():
            if first and case is not first and case["group"] == problem:
                rows.append([name + _earlier(cases, case), _ratio(case, first, _seeds(name))])
    head = ["environment, algorithm: loop", f"time, in times that of the {FIRST} [quartiles]"]
    return _table(head, rows)


def _ratio(case: dict[str, Any], first: dict[str, Any], seeds: int) -> str:
    """Of the times of a step of one seed; quartiles where both were measured in the same rounds."""
    if "run" not in case or case["run"] != first.get("run"):
        return f"{case['median'] / seeds / first['median']:.2f}"
    pairs = zip(case["values"], first["values"], strict=True)
    low, middle, high = quantiles([one / seeds / two for one, two in pairs], n=4)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def _acting(cases: Cases) -> str:
    rows = [
        [name, f"{_spread(case)} {_unit(case)}", f"{case['peak_mb']:,.0f} MB"]
        for name, case in cases.items()
        if case["group"] in HEADINGS
    ]
    return _table(["", "median [quartiles]", "memory"], rows)


def _growth(cases: Cases) -> str:
    """All other groups: what takes how long as something grows."""
    rows = [
        [name, f"{_spread(case)} {_unit(case)}", f"{case['peak_mb']:,.0f} MB"]
        for name, case in cases.items()
        if case["group"] not in (*LOOPS, *HEADINGS, "vector")
    ]
    return _table(["as it grows", "median [quartiles]", "memory"], rows)


def _unit(case: dict[str, Any]) -> str:
    return case["unit"].replace("us", "microseconds")


def vector_table(cases: Cases) -> str:
    """Steps of many copies through Gymnasium; nothing if they were not measured."""
    rows = [
        "| environment | copies | microseconds a step of one copy [quartiles] | steps a second "
        "| times `SyncVectorEnv` | memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, case in cases.items():
        if case["group"] == "vector":
            environment, copies, mode = re.split(r": | copies, ", name)
            sync = cases.get(f"{environment}: 1,024 copies, sync")
            times = f"{sync['median'] / case['median']:.1f}" if sync else ""
            form = "`SyncVectorEnv`" if mode == "sync" else "vector form"
            rows.append(
                f"| {environment}, {form} | {copies} | {_spread(case)} "
                f"| {1e6 / case['median']:,.0f} | {times} "
                f"| {case['peak_mb']:,.0f} MB |"
            )
    return "\n".join(rows) if len(rows) > 2 else ""


def _spread(case: dict[str, Any]) -> str:
    low, high = case["quartiles"]
    digits = 0 if case["median"] >= 10 else 1
    return f"{case['median']:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _draw(cases: Cases) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pamdp"
    from matplotlib import pyplot

    loops = {name: case for name, case in cases.items() if case["group"] in LOOPS}
    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(loops) + 1.2))
    names = list(loops)[::-1]
    speeds = [_seeds(name) * 1e6 / loops[name]["median"] for name in names]
    colours = ["#1f6f8b" if "compiled" in n or "host" in n else "#b0b7bd" for n in names]
    bars = axes.barh(names, speeds, color=colours)
    axes.bar_label(bars, [f"{speed:,.0f}" for speed in speeds], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("steps a second (an update each)")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})

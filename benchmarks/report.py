"""The tables and the figure of `docs/performance.md`."""

from __future__ import annotations

import re
from typing import Any

from benchmarks.measures import ROOT

PAGE = ROOT / "docs" / "performance.md"
FIGURE = ROOT / "docs" / "images" / "performance.svg"
BEGIN, END = "<!-- what follows is written by `make bench` -->\n", "<!-- until here -->\n"
BASELINE = "PyTorch"
AXES = (
    "hidden units",
    "batch",
    "actions",
    "actions, 8 sampled",
    "actions, one network",
    "replay",
    "steps a call",
    "seeds",
)


def write(results: dict[str, Any]) -> None:
    """Writes tables and figure from measured results, and leaves the rest of the page."""
    cases = results["cases"]
    parts = [_machine(results["machine"]), _loops(cases), _acting(cases), _growth(cases)]
    if table := vector_table(cases):
        parts.append(table)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(before + BEGIN + "\n" + "\n\n".join(parts) + "\n\n" + END + after)
    _draw(cases)


def _machine(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return f"Measured on: {machine['processor']}; Python {machine['python']}, {packages}."


def _loops(cases: dict[str, Any]) -> str:
    rows = [
        "| environment, algorithm | loop | microseconds a step [quartiles] | steps a second "
        f"| times {BASELINE} | memory |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, case in cases.items():
        if case["group"] == "loops":
            problem, loop = name.split(": ")
            seeds = 2 if loop.endswith("2 seeds") else 1
            baseline = cases.get(f"{problem}: {BASELINE}")
            times = f"{seeds * baseline['median'] / case['median']:.1f}" if baseline else ""
            rows.append(
                f"| {problem} | {loop} | {_spread(case)} | {seeds * 1e6 / case['median']:,.0f} "
                f"| {times} | {case['peak_mb']:,.0f} MB |"
            )
    return "\n".join(rows)


def _acting(cases: dict[str, Any]) -> str:
    rows = ["| | median [quartiles] | memory |", "|---|---:|---:|"]
    rows += [
        f"| {name} | {_spread(case)} {case['unit'].replace('us', 'microseconds')} "
        f"| {case['peak_mb']:,.0f} MB |"
        for name, case in cases.items()
        if case["group"] in ("acting", "study", "tracking")
    ]
    return "\n".join(rows)


def _growth(cases: dict[str, Any]) -> str:
    rows = ["| MP-DQN, compiled | microseconds a step [quartiles] | memory |", "|---|---:|---:|"]
    rows += [
        f"| {name} | {_spread(case)} | {case['peak_mb']:,.0f} MB |"
        for name, case in cases.items()
        if case["group"] in AXES
    ]
    return "\n".join(rows)


def vector_table(cases: dict[str, Any]) -> str:
    """Steps of many copies through Gymnasium; nothing if they were not measured."""
    rows = [
        "| environment | copies | microseconds a step of one copy [quartiles] | steps a second "
        "| times `SyncVectorEnv` | memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, case in cases.items():
        if case["group"] == "vector":
            environment, copies, mode = re.split(r": | copies, ", name)
            sync = cases[f"{environment}: 1,024 copies, sync"]
            form = "`SyncVectorEnv`" if mode == "sync" else "vector form"
            rows.append(
                f"| {environment}, {form} | {copies} | {_spread(case)} "
                f"| {1e6 / case['median']:,.0f} | {sync['median'] / case['median']:.1f} "
                f"| {case['peak_mb']:,.0f} MB |"
            )
    return "\n".join(rows) if len(rows) > 2 else ""


def _spread(case: dict[str, Any]) -> str:
    low, high = case["quartiles"]
    digits = 0 if case["median"] >= 10 else 1
    return f"{case['median']:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def _draw(cases: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pamdp"
    from matplotlib import pyplot

    loops = {name: case for name, case in cases.items() if case["group"] == "loops"}
    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(loops) + 1.2))
    names = list(loops)[::-1]
    speeds = [(2 if n.endswith("2 seeds") else 1) * 1e6 / loops[n]["median"] for n in names]
    colours = ["#1f6f8b" if "compiled" in n or "host" in n else "#b0b7bd" for n in names]
    bars = axes.barh(names, speeds, color=colours)
    axes.bar_label(bars, [f"{speed:,.0f}" for speed in speeds], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_xlabel("steps a second (an update each)")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})

"""Records, and what MLflow shows of them."""

import math
import os
import subprocess
import sys
import textwrap

from pamdp.records import Run
from pamdp.tracking.connection import DEFAULTS
from pamdp.tracking.files import text_of
from pamdp.tracking.view import View

SEEDS, POINTS = (1, 2), 30
CELL = "platform-mpdqn-inverting"


def value(seed: int, step: int) -> float:
    return math.sin(seed + step / 1000)


def record(points: int = POINTS, fingerprint: str = "f1", artifacts: tuple[str, ...] = ()) -> Run:
    """The record of a cell: `points` points for each of two metrics of each seed."""
    steps = [1000 * (n + 1) for n in range(points)]
    children = [
        Run(
            key=f"train/{CELL}/seed-{seed}",
            fingerprint=f"{fingerprint}-{seed}",
            tags={"cell": CELL, "seed": str(seed), "stage": "train"},
            metrics={
                "train/return": [(step, value(seed, step)) for step in steps],
                "eval/return": [(step, -value(seed, step)) for step in steps[::3]],
            },
        )
        for seed in SEEDS
    ]
    return Run(
        key=f"train/{CELL}",
        fingerprint=fingerprint,
        tags={"cell": CELL, "stage": "train"},
        parameters={"learner.gamma": 0.99, "learner.units": 128, "loss": "huber", "clip": None}
        | {f"many.p{n}": n for n in range(150)},  # more than one call takes
        artifacts=list(artifacts),
        children=children,
    )


def shown(view: View, **tags: str) -> list:
    query = " and ".join(f"tags.`{name.replace('_', '.')}` = '{v}'" for name, v in tags.items())
    return list(view.client.search_runs([view.experiment_id], query))


def series(view: View, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(p.step, p.value) for p in view.client.get_metric_history(run_id, name)]


def assert_shows(view: View, run: Run, status: str) -> None:
    """The experiment holds this one record: every run, parameter, tag and point once."""
    (parent,) = shown(view, pamdp_key=run.key)
    children = shown(view, mlflow_parentRunId=parent.info.run_id)
    assert len(shown(view)) == 1 + len(run.children) == 1 + len(children)
    by_key = {child.data.tags["pamdp.key"]: child for child in children}
    for want, got in [(run, parent), *((child, by_key[child.key]) for child in run.children)]:
        assert got.info.status == status
        assert got.data.tags.items() >= want.tags.items()
        assert got.data.tags["pamdp.fingerprint"] == want.fingerprint
        assert got.data.params == {k: text_of(v) for k, v in want.parameters.items()}
        assert set(got.data.metrics) == set(want.metrics)
        for name, points in want.metrics.items():
            assert sorted(series(view, got.info.run_id, name)) == points


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh process that does not know that it is under test."""
    ours = ("PYTEST_CURRENT_TEST", "CI", *DEFAULTS)
    environment = {name: text for name, text in os.environ.items() if name not in ours}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

"""Six extensions, each done for real in a checkout: the files that it takes, and that it works."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pamdp.files import read_json
from tests.pipeline import checkout, extensions, small
from tests.pipeline.extensions import NEW, touched

PLAIN = "platform-mpdqn-plain"
SEEDS, STEPS, EVERY = (1, 2), 300, 150
CURVES = [(seed, step) for seed in SEEDS for step in range(EVERY, STEPS + 1, EVERY)]
CHANGES = small.CHANGES | {
    "study.strategies": ["plain"],
    "study.seeds": list(SEEDS),
    # High enough for parameters to leave their bounds, where strategies differ.
    "environments.platform.learner.parameters.learning_rate": 0.01,
    "environments.platform.training": {
        "steps": STEPS,
        "report_every": EVERY,
        "evaluation_episodes": 20,
    },
    "tuning.trials": 0,
}
LISTED = (2, 1)  # lines of params.yaml: an entry, and its name in a list of the study's

# Runs scripts of the pipeline in one process: to load TensorFlow takes longer than to train.
PIPELINE = """
import json, runpy, sys

for stage, *arguments in json.loads(sys.argv[1]):
    sys.argv = [f"pipeline/{stage}.py", *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def base(shared) -> Path:
    """A checkout with one trained cell. Do not change anything in it; `copy` may be changed."""
    return checkout.once(shared / "to be extended", build)


def build(folder: Path) -> None:
    checkout.make(folder, CHANGES)
    pipeline(folder, ["setup"])  # apart: what runs before decides which compiled programs are found
    pipeline(folder, ["tune", PLAIN], ["train", PLAIN], PAMDP_ENGINE="threads")


@pytest.fixture
def copy(base, request) -> Iterator[Path]:
    """The checkout, to be extended; a neighbour of it, so that they share compiled programs."""
    folder = base.with_name(request.node.name)
    yield shutil.copytree(base, folder, symlinks=True)
    shutil.rmtree(folder)


def pipeline(folder: Path, *stages: list[str], then: str = "", **variables: str) -> str:
    """Runs stages one after another, and then some other code; what they printed."""
    command = (sys.executable, "-c", PIPELINE + then, json.dumps(stages))
    quiet = small.compiled(folder) | {"PAMDP_TRACKING": "off"} | variables
    return checkout.succeed(folder, *command, **quiet).stdout


def weights(folder: Path, cell: str) -> dict[str, np.ndarray]:
    """The trained weights of a cell, of all seeds and finite."""
    with (folder / "metrics/train" / cell / "curves.csv").open() as file:
        rows = [(int(row["seed"]), int(row["step"])) for row in csv.DictReader(file)]
    assert rows == CURVES
    with np.load(folder / "metrics/train" / cell / "weights.npz") as file:
        arrays = {name: file[name] for name in file.files}
    assert all(np.isfinite(array).all() for array in arrays.values())
    return arrays


def differ(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> bool:
    """Whether weights of the same shapes differ."""
    assert {name: a.shape for name, a in some.items()} == {n: a.shape for n, a in others.items()}
    return any(not np.array_equal(some[name], others[name]) for name in some)


def test_a_strategy_is_one_file_and_entries_in_two_lists(copy) -> None:
    extensions.strategy(copy)
    cell = "platform-mpdqn-halving"
    pipeline(copy, ["setup"], ["tune", cell], ["train", cell])
    facts, others = (
        read_json(copy / f"metrics/setup/strategies/{name}.json") for name in ("halving", "plain")
    )
    assert facts["kind"] == "halving"
    assert facts["source"] != others["source"]
    assert read_json(copy / "metrics/setup/descriptions.json")["strategies"]["halving"] == {
        "kind": "halving",
        "title": "Halving",
        "rule": "`g` where `low < x < high`, else `factor g`.",
        "reference": "an example",
    }
    assert differ(weights(copy, cell), weights(copy, PLAIN))
    assert touched(copy) == {
        "params.yaml": LISTED,
        "src/pamdp/strategies/halving.py": NEW,
        "src/pamdp/strategies/members.py": (2, 0),
    }


PROGRAMS = """
from pamdp.learning.compiled import CompiledPrograms
from pamdp.settings import load

cells = [load().cell(f"platform-{name}-plain") for name in ("scaled", "scaled_weak")]
training = [CompiledPrograms.of(cell) for cell in cells]
evaluation = [CompiledPrograms.of(cell.forward) for cell in cells]
same = training[0] is training[1] and evaluation[0] is evaluation[1]
print(json.dumps([same, training[0].traces, evaluation[0].traces]))
"""


def test_an_algorithm_is_one_file_and_entries_in_two_lists_and_its_floats_are_inputs(copy) -> None:
    extensions.algorithm(copy)
    cells = [f"platform-{name}-plain" for name in ("scaled", "scaled_weak")]
    stages = [[stage, cell] for cell in cells for stage in ("tune", "train")]
    # Two values of the factor, trained in one process, take one program.
    printed = pipeline(copy, ["setup"], *stages, then=PROGRAMS)
    assert json.loads(printed.splitlines()[-1]) == [True, {"start": 1, "run": 1}, {"evaluate": 1}]
    assert differ(*(weights(copy, cell) for cell in cells))
    words = read_json(copy / "metrics/setup/descriptions.json")["algorithms"]
    assert [words[name]["kind"] for name in ("mpdqn", "scaled", "scaled_weak")] == [
        "mpdqn",
        "scaled",
        "scaled",
    ]
    # The search may name it.
    header = (copy / "metrics/tune" / cells[0] / "trials.csv").read_text().strip()
    assert "algorithm.factor" in header.split(",")
    assert touched(copy) == {
        "params.yaml": (4, 1),  # two entries, what is searched, and the list of the study's
        "src/pamdp/algorithms/__init__.py": (2, 0),
        "src/pamdp/algorithms/scaled.py": NEW,
    }


STEP = """
import gymnasium, numpy as np

environment = gymnasium.make("pamdp/Drift-v0", strength=0.25)
(before,), _ = environment.reset(seed=1)
(after,), reward, *_ = environment.step((0, (np.float32([-1.0]), np.float32([]))))
limit = environment.spec.max_episode_steps
print(json.dumps([float(before), float(after), float(reward), limit]))
"""


def test_an_environment_is_one_file_and_entries_in_two_lists(copy) -> None:
    extensions.environment(copy)
    cell = "drift-mpdqn-plain"
    printed = pipeline(copy, ["setup"], ["tune", cell], ["train", cell], then=STEP)
    measured, *_, step = printed.splitlines()
    assert measured == "setup: measuring drift"
    facts = read_json(copy / "metrics/setup/environments/drift.json")
    assert (facts["id"], facts["max_episode_steps"]) == ("pamdp/Drift-v0", 5)
    assert 0 < facts["random_policy"]["return_mean"] < 5
    assert weights(copy, cell)
    before, after, reward, limit = json.loads(step)  # as Gymnasium makes it
    assert after == pytest.approx(max(before - 0.25, -1))
    assert (reward, limit) == (pytest.approx(1 - abs(after)), 5)
    assert touched(copy) == {
        "params.yaml": LISTED,
        "src/pamdp/envs/drift.py": NEW,
        "src/pamdp/envs/members.py": (2, 0),
    }


REPORT = """
from pathlib import Path
from pamdp.reporting import write_report

write_report(Path.cwd())
"""


def test_a_metric_is_a_function_and_a_column(copy) -> None:
    extensions.metric(copy)
    pipeline(copy, ["setup"], ["evaluate"], then=REPORT)  # the report without its film
    share = read_json(copy / "metrics/evaluate/summary.json")[PLAIN]["advancing_share"]
    assert 0 < share <= 1
    table = (copy / "metrics/report/results.md").read_text().partition("Advancing %")
    assert table[1]
    header, _, row = (table[0].splitlines()[-1] + "".join(table[1:])).splitlines()[:3]
    assert header.endswith(" | Near bound % | Advancing % |")
    assert row.startswith("| `plain` | ")
    assert row.endswith(f" | {100 * share:.1f} |")
    assert "Advancing %" in (copy / "metrics/report/index.html").read_text()
    assert touched(copy) == {
        "src/pamdp/evaluation.py": (6, 1),
        "src/pamdp/reporting/tables.py": (1, 0),
    }


def test_an_engine_is_one_file_and_an_entry_and_changes_no_byte(copy) -> None:
    extensions.engine(copy)
    of_threads = checkout.contents(copy, "metrics/train")
    assert f"metrics/train/{PLAIN}/weights.npz" in of_threads
    for folder in ("metrics/train", ".work/ahead"):
        shutil.rmtree(copy / folder)
    printed = pipeline(copy, ["tune", PLAIN], ["train", PLAIN], PAMDP_ENGINE="calling")
    assert printed == "task 0 in MainThread\ntask 1 in MainThread\n"
    assert checkout.contents(copy, "metrics/train") == of_threads
    assert touched(copy) == {
        "src/pamdp/engines/__init__.py": (2, 1),
        "src/pamdp/engines/calling.py": NEW,
    }


def test_a_verb_is_one_file_and_an_entry(copy) -> None:
    extensions.verb(copy)
    assert checkout.succeed(copy, "pamdp", "cells").stdout == f"{PLAIN}\n"
    listed = checkout.succeed(copy, "pamdp", "--help").stdout
    assert re.search(r"^ +cells +list the cells of the study$", listed, re.MULTILINE)
    told = checkout.succeed(copy, "pamdp", "cells", "--help").stdout
    assert "List the cells of the study.\n" in told
    assert "examples:\n  pamdp cells\n" in told
    assert touched(copy) == {"src/pamdp/cli.py": (1, 0), "src/pamdp/stages/cells.py": NEW}

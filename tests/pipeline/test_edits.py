"""Which stages an edit of code makes run again, after `setup` has looked at it.

The code is edited for real, in a checkout whose stages have all run as far as DVC can tell; `setup`
runs, and `dvc repro --dry` tells what would run then. What follows from results that come out
differently cannot be told before they have: it is the stages' own dependence on each other.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.pipeline import checkout
from tests.pipeline.test_dvc import opened, pretend

ENVIRONMENTS, ALGORITHMS = ("platform", "catch_point", "reach"), ("pdqn", "mpdqn")
HEIRS = ("platform", "reach")  # `reach` extends `platform`
STRATEGIES = ("plain", "reversal", "reversal_weak", "reversal_inverting")
TUNE_AND_TRAIN = ("tune", "train")
CHANGES = {
    "study.environments": list(ENVIRONMENTS),
    "study.algorithms": list(ALGORITHMS),
    "study.strategies": list(STRATEGIES),
    "gradients.reversal_weak": {"kind": "reversal", "factor": 0.05, "scope": "taken"},
    "tuning.trials": 0,
    "environments.reach": {
        "extends": "platform",
        "task": {"kind": "gymnasium", "id": "stranger:Reach-v0"},
    },
}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")


def cells(
    environments: Iterable[str] = ENVIRONMENTS,
    algorithms: Iterable[str] = ALGORITHMS,
    strategies: Iterable[str] = STRATEGIES,
    stages: Iterable[str] = TUNE_AND_TRAIN,
) -> set[str]:
    """The names of stages of cells."""
    return {
        f"{stage}@{environment}-{algorithm}-{strategy}"
        for stage in stages
        for environment in environments
        for algorithm in algorithms
        for strategy in strategies
    }


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Path:
    """A checkout in which `setup` has run, and all else as far as DVC can tell."""
    root = tmp_path_factory.mktemp("edits") / "checkout"
    checkout.make(root, CHANGES)
    # A user's environment is a module beside params.yaml, with another that it imports.
    shutil.copy(ROOT / "tests" / "user_environment.py", root / "stranger.py")
    (root / "their_units.py").write_text("METRE = 1.0\n")
    with (root / "stranger.py").open("a") as file:
        file.write(
            "\n\ndef width() -> float:\n    from their_units import METRE\n\n    return METRE\n"
        )
    checkout.succeed(root, "dvc", "repro", "--quiet", "setup")
    with opened(root) as repo:
        for stage in repo.index.stages:
            for out in stage.outs:
                pretend(stage.name, Path(out.fs_path))
    with opened(root) as repo:
        repo.commit(force=True)
    assert would_run(root) == set()
    return root


def would_run(root: Path) -> set[str]:
    """The stages that `dvc repro --dry` names after `setup` has run."""
    checkout.succeed(root, sys.executable, "pipeline/setup.py")
    with opened(root) as repo, redirect_stdout(StringIO()):
        return {stage.name for stage in repo.reproduce(dry=True)} - {"setup"}


P = "src/pamdp/"
ALL = cells() | {"evaluate", "export", "report"}
# A file, a piece of it and what takes its place; what runs again.
EDITS = {
    "the formula of a strategy": (
        [(P + "strategies/reversal.py", "-self.factor *", "-2 * self.factor *")],
        cells(strategies=("reversal", "reversal_weak", "reversal_inverting")),
    ),
    "a strategy that no cell has": (
        [(P + "strategies/squashing.py", "tf.tanh(unit)", "tf.tanh(2 * unit)")],
        set(),
    ),
    "an algorithm": (
        [(P + "algorithms/mpdqn.py", "own = x * self", "own = 2 * x * self")],
        cells(algorithms=["mpdqn"]),
    ),
    "an environment": (
        [(P + "envs/platform.py", "\nMAX_RUN, MAX_ENEMY = 70.0", "\nMAX_RUN, MAX_ENEMY = 71.0")],
        cells(environments=["platform"]) | {"evaluate", "export", "report"},
    ),
    "a helper that one environment imports": (
        [(P + "envs/point_mass.py", "KEPT, GAIN, STEP = 0.75", "KEPT, GAIN, STEP = 0.7")],
        cells(environments=["catch_point"]) | {"evaluate", "export", "report"},
    ),
    "a user's environment": (
        [("stranger.py", "return METRE", "return 2 * METRE")],
        cells(environments=["reach"]) | {"evaluate", "export", "report"},
    ),
    "a module that a user's environment imports": (
        [("their_units.py", "METRE = 1.0", "METRE = 2.0")],
        cells(environments=["reach"]) | {"evaluate", "export", "report"},
    ),
    "the learner": (
        [(P + "learning/learner.py", "step=state.step + 1", "step=state.step + 2")],
        ALL,
    ),
    "what a trial is worth": (
        [(P + "tuning/scoring.py", "LAST_POINTS = 2", "LAST_POINTS = 3")],
        cells(stages=["tune"]),
    ),
    "the length of a trial": (
        [(P + "tuning/settings.py", "max(1, round(", "max(2, round(")],
        cells(stages=["tune"]),
    ),
    "what is measured of the final episodes": (
        [(P + "evaluation.py", "step.scaled) > 1.0", "step.scaled) > 1.5")],
        {"evaluate"},
    ),
    "the record of training": (
        [(P + "stages/train.py", "(point.step, value)", "(point.step, 2 * value)")],
        cells(stages=["train"]),
    ),
    "the statistics": (
        [(P + "statistics.py", "NUM_RESAMPLES = 2_000", "NUM_RESAMPLES = 2_001")],
        {"evaluate", "report"},
    ),
    "the film": (
        [(P + "films.py", "GIF_COLOURS = 64", "GIF_COLOURS = 32")],
        {"report"},
    ),
    "a style sheet": (
        [(P + "reporting/templates/page.css", "{", "{\n  color: red;")],
        {"report"},
    ),
    "the model card": (
        [(P + "stages/export.md", "## Use", "## How to use it")],
        {"export"},
    ),
    "the words about a strategy": (
        [
            (
                P + "strategies/reversal.py",
                'title: ClassVar[str] = "',
                'title: ClassVar[str] = "The ',
            )
        ],
        {"report"},
    ),
    "docstrings and comments": (
        [
            (P + "learning/learner_settings.py", "Hyper-parameters of", "All hyper-parameters of"),
            (P + "base/spaces.py", '"""The parameterised', '# A comment.\n"""The parameterised'),
            (P + "strategies/reversal.py", '"""Turns the', '"""It turns the'),
            (P + "algorithms/mpdqn.py", "only column k", "column k alone"),
            (P + "envs/platform.py", "exactly as published", "as published"),
            (P + "tuning/scoring.py", "# a trial's score is", "# the score is"),
            (P + "reporting/page.py", '"""Writes the report', '"""It writes the report'),
            ("stranger.py", "return METRE", "return METRE  # of theirs\n"),
        ],
        set(),
    ),
    "a value of an environment that another extends": (
        [("params.yaml", "gamma: 0.9\n", "gamma: 0.8\n")],
        cells(environments=HEIRS) | {"evaluate"},
    ),
    "the length of the training": (
        [("params.yaml", "steps: 40000", "steps: 50000")],
        cells(environments=HEIRS) | {"evaluate"},
    ),
    "a value of one that extends": (
        [("params.yaml", "  reach:\n", "  reach:\n    learner: {gamma: 0.8}\n")],
        cells(environments=["reach"]) | {"evaluate"},
    ),
    "the return that counts as reached": (
        [("params.yaml", "return_threshold: 0.9\n", "return_threshold: 0.8\n")],
        {"evaluate"},
    ),
    "an environment that the study does not have": (
        [("params.yaml", "reward_scale: 0.02", "reward_scale: 0.03")],
        set(),
    ),
    "what no number depends on": (
        [
            (P + "tracking/view.py", "METRICS_PER_CALL, OTHERS_PER_CALL = 1000", "A = 1\nB = 1000"),
            (P + "engines/threads.py", "self._stopped.set()", "self._stopped.set(), 1"),
            (P + "progress.py", "LINE_SECONDS = 15.0", "LINE_SECONDS = 16.0"),
            (P + "settings.py", "of seeds that were tuned on", "of tuned seeds"),
            (P + "stages/watch.py", "episodes: expected", "episodes: we expected"),
        ],
        set(),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_what_depends_on_it(complete, name, request):
    edits, expected = EDITS[name]
    before = {path: (complete / path).read_text() for path, _, _ in edits}
    facts = shutil.copytree(complete / "metrics/setup", complete.parent / request.node.name)
    try:
        for path, old, new in edits:
            text = (complete / path).read_text()
            assert old in text, f"{path} has changed: edit this test"
            (complete / path).write_text(text.replace(old, new, 1))
        assert would_run(complete) == expected
    finally:
        for path, text in before.items():
            (complete / path).write_text(text)
        shutil.rmtree(complete / "metrics/setup")
        shutil.move(facts, complete / "metrics/setup")


def test_no_stage_names_a_file_of_the_code(complete):
    assert not re.search(r"\bsrc\b", (complete / "dvc.yaml").read_text())
    assert os.path.exists(complete / "metrics/setup/code/train.json")

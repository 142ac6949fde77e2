"""What a user does with a finished study: wrong settings, comparisons, experiments."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys

import pytest

from pamdp.files import read_json
from pamdp.records import Run
from pamdp.settings import load
from tests.helpers import ROOT
from tests.pipeline import checkout
from tests.pipeline.small import CELL, CELLS, OTHER, POINTS, STARTED

WRONG = {
    "evaluation.episodes": (-1, "evaluation.episodes: expected greater than or equal to 1"),
    "gradients.reversal.factor": ("much", "gradients.reversal.factor: expected a valid number"),
}


@pytest.mark.parametrize("path", WRONG)
def test_wrong_settings_are_one_message_and_delete_nothing(copy, path):
    value, expected = WRONG[path]
    checkout.change(copy, {path: value})
    before = checkout.contents(copy, "metrics", "models")
    lock = (copy / "dvc.lock").read_bytes()
    done = checkout.run(copy, "dvc", "repro")
    assert done.returncode != 0
    message = [line for line in done.stderr.splitlines() if not line.startswith("ERROR: failed")]
    assert [line for line in message if line][:1] == ["error: params.yaml is wrong:"]
    assert expected in message[1]
    assert len([line for line in message if line]) == 2
    assert checkout.contents(copy, "metrics", "models") == before
    assert (copy / "dvc.lock").read_bytes() == lock


def test_a_key_that_no_stage_reads_is_found_before_anything_runs(copy):
    checkout.change(copy, {"tunning": {}})
    done = checkout.run(copy, "pamdp", "study")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "tunning: unknown key" in done.stderr
    assert "did you mean 'tuning'?" in done.stderr


# -- What a user does next -------------------------------------------------------------------------


def test_without_trials_the_settings_stand_as_they_are(copy):
    checkout.change(copy, {"tuning.trials": 0})
    checkout.succeed(copy, "pamdp", "setup", PAMDP_TRACKING="off")
    script = (sys.executable, "pipeline/tune.py", OTHER)
    done = checkout.succeed(copy, *script, PAMDP_TRACKING="off")
    assert (done.stdout, done.stderr) == ("", "")
    folder = copy / "metrics" / "tune" / OTHER
    assert read_json(folder / "best.json") == {"values": {}, "score": None}
    paths = "learner.parameters.learning_rate,learner.q.learning_rate,strategy.factor"
    assert (folder / "trials.csv").read_text() == f"trial,score,state,{paths}\n"
    record = Run.read(folder / "record.json")
    assert record.children == []
    assert record.parameters["strategy.factor"] == 0.1


def test_metrics_are_compared(copy):
    path = copy / "metrics" / "report" / "metrics.json"
    old = read_json(path)
    path.write_text(json.dumps(old | {CELL: old[CELL] | {"return_mean": 2.0}}))
    done = checkout.succeed(copy, "dvc", "metrics", "diff", "--json")
    changed = json.loads(done.stdout)["metrics/report/metrics.json"]
    assert set(changed) == {f"{CELL}.return_mean"}
    assert changed[f"{CELL}.return_mean"]["old"] == pytest.approx(old[CELL]["return_mean"])
    assert changed[f"{CELL}.return_mean"]["new"] == 2.0


def test_plots_are_shown(copy):
    checkout.succeed(copy, "dvc", "plots", "show")
    page = (copy / "dvc_plots" / "index.html").read_text()
    # What draws it is in the checkout, so that it needs no network.
    (script,) = re.findall(r'<script src="(.*)">', page)
    assert "window.vegaEmbed" in (copy / "dvc_plots" / script).read_text()
    returns, curves = (json.loads(spec) for spec in re.findall(r"var spec = (.*);\n", page))
    assert returns["title"]["text"] == "Mean greedy return"
    assert returns["encoding"]["color"]["field"] == returns["encoding"]["yOffset"]["field"] == "rev"
    # A panel for each cell, in which colours tell revisions apart.
    assert curves["title"]["text"] == "Greedy return while training"
    assert {part["field"] for part in curves["facet"].values()} == {"row", "column"}
    assert curves["spec"]["encoding"]["color"]["field"] == "rev"
    for spec, number in ((returns, 1), (curves, len(POINTS))):
        shown = [row["cell"] for row in spec["data"]["values"]]
        assert shown == [cell for cell in CELLS for _ in range(number)]
    assert "<DVC_METRIC" not in json.dumps([returns, curves])


def test_an_experiment_reruns_what_its_setting_changes(copy):
    before = Run.read(copy / "metrics" / "tune" / OTHER / "record.json")
    # To one stage, and without trials, so that it takes no time.
    command = ["dvc", "exp", "run", "--name", "kinder", f"tune@{OTHER}"]
    for value in ("gradients.reversal.factor=0.2", "tuning.trials=0"):
        command += ["--set-param", value]
    done = checkout.succeed(copy, *command, PAMDP_TRACKING="off")
    assert STARTED.findall(done.stdout) == ["setup", f"tune@{OTHER}"]
    record = Run.read(copy / "metrics" / "tune" / OTHER / "record.json")
    assert record.parameters["strategy.factor"] == 0.2
    assert record.fingerprint != before.fingerprint
    listed = checkout.succeed(copy, "dvc", "exp", "list", "--name-only")
    assert listed.stdout.split() == ["kinder"]


def test_the_table_of_experiments_is_narrow(copy):
    """The command of `make experiments`: the best cell, and the settings that differ."""
    text = (ROOT / "Makefile").read_text()
    (command,) = re.findall(r"\$\(IN\) (dvc exp show .*?) \$\$ARGS", text, re.DOTALL)
    # The list would make a wide column.
    changes = {"gradients.reversal.factor": 0.2, "evaluation.episodes": 60, "study.seeds": [1, 2]}
    checkout.change(copy, changes)
    words = shlex.split(command.replace("\\\n", " "))
    done = checkout.succeed(copy, *words, "--csv")
    rows = [*csv.DictReader(done.stdout.splitlines())]
    best = read_json(copy / "metrics/report/best.json")["best"]["platform"]
    names = [f"best.platform.{name}" for name in ("cell", "return", "return_high", "return_low")]
    settings = ["evaluation.episodes", "gradients.reversal.factor"]
    own = {"Experiment", "rev", "typ", "Created", "parent"}  # DVC's, where they differ
    assert [name for name in rows[0] if name not in own] == [*names, *settings]
    assert [[row[name] for name in settings] for row in rows] == [["60", "0.2"], ["50", "0.1"]]
    assert rows[1]["best.platform.cell"] == best["cell"]
    assert float(rows[1]["best.platform.return"]) == best["return"]


def test_an_experiment_changes_its_line_of_params_yaml_and_nothing_of_what_is_inherited(tmp_path):
    folder = checkout.make(tmp_path / "checkout")
    whole = load(folder / "params.yaml").environments
    # Setup alone: what it writes is what the other stages see.
    command = ["dvc", "exp", "run", "-S", "evaluation.episodes=50", "setup"]
    checkout.succeed(folder, *command, PAMDP_TRACKING="off")
    numbers = checkout.git(folder, "diff", "--numstat", "params.yaml").split()
    assert numbers == ["1", "1", "params.yaml"]
    assert load(folder / "params.yaml").environments == whole
    inherited = ["-S", "environments.goal.learner.gamma=0.5"]
    added = ["-S", "+environments.hard_goal.training.steps=5000"]
    checkout.succeed(folder, "dvc", "exp", "run", *inherited, *added, "setup", PAMDP_TRACKING="off")
    found = load(folder / "params.yaml").environments
    heirs = {name for name, each in found.items() if each.learner.gamma == 0.5}
    assert heirs > {"goal", "goal_v1", "hard_goal_v1", "sparse_goal"}
    assert found["hard_goal_v1"].training.steps == 5000
    assert found["goal_v1"].training == whole["goal_v1"].training


def test_an_experiment_that_is_refused_says_what_it_has_left_behind(copy):
    before = checkout.contents(copy, "metrics", "models")
    done = checkout.run(copy, "dvc", "exp", "run", "--set-param", "evaluation.episodes=-3")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line]
    assert said[:2] == [
        "error: params.yaml is wrong:",
        "  evaluation.episodes: expected greater than or equal to 1, received -3",
    ]
    assert said[2].startswith("`dvc exp run` has written this into params.yaml, where it stays")
    assert checkout.contents(copy, "metrics", "models") == before
    checkout.git(copy, "checkout", "params.yaml")
    assert checkout.succeed(copy, "pamdp", "setup", PAMDP_TRACKING="off").stderr == ""


def test_a_queued_experiment_runs_the_code_that_was_queued(copy):
    """And not that of the workspace, which has changed meanwhile."""
    name = f"tune@{OTHER}"
    queued = ["dvc", "exp", "run", "--queue", "--name", "queued", name]
    checkout.succeed(copy, *queued, "--set-param", "tuning.trials=0")
    module = copy / "src" / "pamdp" / "stages" / "search.py"
    text = module.read_text()
    edit = text.replace('"score": None}', '"score": 1.0}')
    assert edit != text
    with checkout.edited(module, edit):
        checkout.succeed(copy, "dvc", "exp", "run", "--run-all", PAMDP_TRACKING="off")
    assert not list(copy.glob(".dvc/tmp/exps/tmp*/metrics"))
    checkout.succeed(copy, "dvc", "exp", "apply", "queued")
    assert read_json(copy / "metrics" / "tune" / OTHER / "best.json")["score"] is None

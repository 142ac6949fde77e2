"""A user's environment, known by its id alone, from params.yaml to a model that acts in it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from pamdp.files import read_json
from tests.helpers import ROOT
from tests.pipeline import checkout
from tests.pipeline.small import STARTED

CELL = "reach-mpdqn-inverting"
STEPS = 2000
CHANGES = {
    "study.environments": ["reach"],
    "study.algorithms": ["mpdqn"],
    "study.strategies": ["inverting"],
    "study.seeds": [1, 2],
    "environments.reach": {
        "task": {"kind": "gymnasium", "id": "stranger:Reach-v0", "arguments": {"width": 0.4}},
        "initial_parameters": None,
        "training": {"steps": STEPS, "report_every": 500, "evaluation_episodes": 20},
        "return_threshold": 1.0,
    },
    "tuning.trials": 1,
    "tuning.share": 0.1,
    "evaluation.episodes": 50,
}

# What a user does with the model, where this package cannot be imported.
ACT = """
import json, sys
sys.modules["pamdp"] = sys.modules["keras"] = None
import gymnasium, numpy as np, tensorflow as tf

policy = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
environment = gymnasium.make("stranger:Reach-v0", width=0.4)
successes = 0
for seed in range(100):
    (observation, _), over = environment.reset(seed=seed), False
    while not over:
        answer = policy(observation=observation[None].astype(np.float32))
        action, size = int(answer["action"][0]), int(answer["num_parameters"][0])
        parameters = [np.zeros(1, np.float32), np.zeros(0, np.float32)]
        parameters[action] = answer["parameters"].numpy()[0, :size]
        observation, _, *ends, info = environment.step((action, tuple(parameters)))
        over = any(ends)
    successes += info["success"]
json.dump(successes / 100, sys.stderr)
"""


@pytest.fixture(scope="module")
def built(shared) -> Path:
    """The finished study of an environment that is no part of the checkout."""
    return checkout.once(shared / "own environment", build)


def build(folder: Path) -> None:
    theirs = folder.with_name("theirs")
    theirs.mkdir()
    shutil.copy(ROOT / "tests" / "user_environment.py", theirs / "stranger.py")
    learner = {"learning_starts": 100, "batch_size": 32, "replay_size": 2000}
    settings = checkout.settings(ROOT)["environments"]["platform"]["learner"] | learner
    changes = CHANGES | {
        "environments.reach": CHANGES["environments.reach"] | {"learner": settings}
    }
    checkout.make(folder, changes)
    done = checkout.succeed(folder, "dvc", "repro", PAMDP_TRACKING="off", **importable(folder))
    (folder / "printed").write_text(done.stdout)


def importable(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder.with_name("theirs"))])}


def test_every_stage_runs(built) -> None:
    stages = ["setup", f"tune@{CELL}", f"train@{CELL}", "evaluate", "export", "report"]
    assert STARTED.findall((built / "printed").read_text()) == stages
    assert (built / "metrics" / "report" / "reach-best.gif").read_bytes().startswith(b"GIF89a")
    assert f"| `{CELL.split('-')[2]}` |" in (built / "metrics/report/results.md").read_text()


def test_the_model_acts_in_the_environment_as_it_was_evaluated(built) -> None:
    script = (sys.executable, "-c", ACT, f"models/{CELL}")
    done = checkout.succeed(built, *script, **importable(built))
    share = json.loads(done.stderr.splitlines()[-1])
    summary = read_json(built / "metrics/evaluate/summary.json")[CELL]
    seeds = summary["per_seed"]
    random = read_json(built / "metrics/setup/environments/reach.json")["random_policy"]
    assert max(entry["mean"] for entry in seeds) > random["return_mean"] + 0.5
    # The exported seed is the best of them; 100 episodes.
    assert share > max(0.8, summary["success"]["mean"] - 0.15)


def test_an_edit_of_its_code_reruns_its_cells_and_a_comment_does_not(built) -> None:
    path = built.with_name("theirs") / "stranger.py"
    text = path.read_text()
    edit = text.replace(
        "return self._observation(), nearer", "return self._observation(), nearer / 2"
    )
    assert edit != text
    assert changed_after(built, path, text + "\n# a comment\n") == {"setup"}
    stale = {"setup", f"tune@{CELL}", f"train@{CELL}", "evaluate", "report"}
    assert changed_after(built, path, edit) == stale


def changed_after(built: Path, path: Path, content: str) -> set[str]:
    """The stages out of date once `setup` has seen other content; it is always run itself."""
    with checkout.edited(path, content):
        done = checkout.succeed(built, "dvc", "repro", "setup", **importable(built))
        assert STARTED.findall(done.stdout) == ["setup"]
        done = checkout.succeed(built, "dvc", "status", "--json", **importable(built))
    return set(json.loads(done.stdout))

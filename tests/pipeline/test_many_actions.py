"""A user's environment with 2,000 actions, from setup to the report."""

from __future__ import annotations

import json

import numpy as np

from pamdp.files import read_json
from tests.pipeline import checkout
from tests.pipeline.test_extending import CHANGES, pipeline

NUMBER = 2000
DIAL = f'''
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Tuple


class Dial(gymnasium.Env):
    """A dial with {NUMBER} marks is to be set to a number: a mark, and how far beyond it."""

    def __init__(self):
        self.action_space = Tuple((Discrete({NUMBER}), Box(0, 1, (1,))))
        self.observation_space = Box(0, 1, (1,))
        self.action_features = np.linspace(-1, 1, {NUMBER})[:, None]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.wanted = self.np_random.uniform(0, 1, 1).astype(np.float32)
        return self.wanted, {{}}

    def step(self, action):
        mark, beyond = action
        gap = abs((mark + float(beyond[0])) / {NUMBER} - float(self.wanted[0]))
        return self.wanted, -gap, True, False, {{"success": gap < 0.01}}
'''
ALGORITHMS = {
    "mpdqn": {"kind": "mpdqn"},
    "epdqn": {"kind": "epdqn", "embedding": "features"},
}
CELLS = [f"platform-{algorithm}-plain" for algorithm in ALGORITHMS]
PATH = "environments.platform"


def test_it_runs_to_the_report(shared) -> None:
    folder = checkout.make(
        shared / "many actions",
        CHANGES
        | {
            "algorithms": ALGORITHMS,
            "study.algorithms": [*ALGORITHMS],
            "study.seeds": [1],
            "comparisons.algorithms": ["mpdqn"],
            f"{PATH}.task": {"kind": "gymnasium", "id": "dial:Dial", "max_episode_steps": 1},
            f"{PATH}.initial_parameters": None,
            f"{PATH}.learner.objective": "indexed",
            f"{PATH}.learner.candidates": 4,
            f"{PATH}.learner.q.hidden": [16],
            f"{PATH}.learner.parameters.hidden": [16],
        },
    )
    (folder / "dial.py").write_text(DIAL)
    stages = [[stage, cell] for cell in CELLS for stage in ("tune", "train")]
    pipeline(folder, ["setup"], *stages, ["evaluate"], ["export"], ["report"])
    facts = read_json(folder / "metrics/setup/environments/platform.json")
    assert len(facts["actions"]) == NUMBER
    assert facts["actions"][0]["features"] == [-1.0]
    with np.load(folder / "metrics/train" / CELLS[1] / "weights.npz") as file:
        sizes = [file[name].size for name in file.files]
    assert max(sizes) < NUMBER  # one network for all, and no embedding
    for cell in CELLS:
        assert (folder / "models" / cell / "saved_model.pb").exists()
    summary = json.loads((folder / "metrics/evaluate/summary.json").read_text())
    assert set(summary) == set(CELLS)

"""A simulator that cannot be seeded runs from setup to the report, which say what that means."""

from __future__ import annotations

import re

from tests.pipeline import checkout, small
from tests.pipeline.test_extending import CHANGES, PLAIN, pipeline

SIMULATOR = '''
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Tuple


class Simulator(gymnasium.Env):
    """Action 0 moves by its parameter, action 1 stops; no seed reaches where it starts."""

    def __init__(self):
        self.action_space = Tuple((Discrete(2), Tuple((Box(-1, 1, (1,)), Box(0, 1, (0,))))))
        self.observation_space = Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        self.place = np.random.default_rng().uniform(-1, 1, 1).astype(np.float32)
        return self.place, {}

    def step(self, action):
        index, (move, _) = action
        self.place = np.clip(self.place + move, -1, 1)
        return self.place, float(-abs(self.place[0])), index == 1, False, {}


class Doubled(gymnasium.RewardWrapper):
    def reward(self, reward):
        return 2.0 * reward
'''
TASK = {
    "kind": "gymnasium",
    "id": "simulator:Simulator",
    "wrappers": [{"name": "TimeLimit", "max_episode_steps": 6}, "simulator:Doubled"],
}


def test_it_is_refused_with_the_way_out_and_then_runs_to_the_report(shared) -> None:
    folder = shared / "unseeded"
    path = "environments.platform"
    changes = CHANGES | {f"{path}.task": TASK, f"{path}.initial_parameters": None}
    checkout.make(folder, changes)
    (folder / "simulator.py").write_text(SIMULATOR)
    refused = checkout.run(folder, "pamdp", "setup", **small.compiled(folder))
    assert refused.returncode == 1
    assert "write seeded: false beside its id" in refused.stderr
    checkout.change(folder, {f"{path}.task": TASK | {"seeded": False}})
    cell = ["tune", PLAIN], ["train", PLAIN]
    said = pipeline(folder, ["setup"], *cell, ["evaluate"], ["export"], ["report"])
    assert "setup: platform: not reproducible, as seeded is false" in said
    sentence = "Not reproducible: Platform, which cannot be seeded; another run differs."
    for name in ("results.md", "index.html"):
        assert sentence in (folder / "metrics/report" / name).read_text()
    page = (folder / "metrics/report/index.html").read_text()
    assert "Equal settings and versions give equal results" not in page
    card = (folder / "models" / PLAIN / "README.md").read_text()
    assert re.search(r"\*\*Not reproducible:\*\* `simulator:Simulator` cannot be seeded", card)

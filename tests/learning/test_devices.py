"""On a machine with more devices: what is compiled here runs on the first CPU, as do its inputs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT

# Two logical processors stand for a CPU and a GPU; the second one is the default, as a GPU is.
SCRIPT = """
import hashlib, json, sys
import gymnasium, numpy as np
from pamdp.base.lazy import tf

devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
tf.debugging.set_log_device_placement(True)

from pamdp import export, watching
from pamdp.bridge.adapter import RegisteredEnv
from pamdp.evaluation import evaluate
from pamdp.learning.cell import Cell
from pamdp.learning.loops import loop_of
from pamdp.learning.training import Checkpoint, Point, Training, resumed, train
from tests.helpers import bytes_of, cell


class Theirs(RegisteredEnv):
    seen = set()

    def step(self, action):
        self.seen.add(tf.acos(0.5).device)  # an operation that nothing else uses
        return super().step(action)


gymnasium.register("Theirs-v0", Theirs, max_episode_steps=200, kwargs={"kind": "platform"})
task = {} if sys.argv[1] == "compiled" else {"task": {"kind": "gymnasium", "id": "Theirs-v0"}}
subject = cell("mpdqn", "inverting", **task)


def results():
    run, points = train(subject, 1, Training(steps=40, report_every=20, evaluation_episodes=2)), []
    try:
        while True:
            if isinstance(event := next(run), Point):
                points.append(event)
    except StopIteration as end:
        weights = end.value.weights
    episodes = evaluate(subject, weights, 1, 2)
    player = watching.player_of(subject, weights)
    acted = player.act(np.full(9, 0.3, np.float32))
    return [repr(points).encode(), *bytes_of(weights), *bytes_of(episodes), *bytes_of(acted)]


def placed():
    loop = loop_of(subject)
    state = loop.run(loop.initial(1), 20)
    found = [loop.values, *tf.nest.flatten(state)]
    if loop.resumable:
        leaves = [np.asarray(leaf) for leaf in found[1:]]
        found += tf.nest.flatten(resumed(Checkpoint(leaves, []), state)[0])
    type(loop).random_episodes(subject.task)
    return [leaf.device for leaf in found]


def digest():
    return hashlib.sha256(b"".join(results())).hexdigest()


with tf.device("/CPU:1"):
    found = digest()
    theirs = sorted(Theirs.seen)
    places = sorted(set(placed()))
print()
print('RESULT', json.dumps([found, digest(), places, theirs]))
"""
FIRST, SECOND = (f"/job:localhost/replica:0/task:0/device:CPU:{number}" for number in range(2))


@pytest.mark.parametrize("loop", ["compiled", "hosted"])
def test_the_default_device_of_a_user_changes_nothing(loop: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, loop],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            "TF_CPP_MIN_LOG_LEVEL": "0",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found, expected, places, theirs = json.loads(
        done.stdout.rpartition("RESULT ")[2].splitlines()[0]
    )
    assert found == expected
    assert places == [FIRST]
    operations = re.findall(r"Executing op (\w+) in device (\S+)", done.stderr)
    assert len(operations) > 100
    # What the user's environment does stays where it would be, and nothing else is there.
    assert theirs == ([SECOND] if loop == "hosted" else [])
    moved = {name for name, device in operations if device == SECOND}
    assert moved == ({"Acos", "_EagerConst"} if loop == "hosted" else set())

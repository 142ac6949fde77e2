"""Environments by their class, wrappers, and simulators that cannot be seeded."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from pydantic import ValidationError

from pamdp import provenance
from pamdp.base.component import structure
from pamdp.base.errors import EnvironmentFailure, PamdpError, SettingsError
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.provenance import digest
from pamdp.reading import read
from pamdp.stages import setup
from tests.helpers import ROOT

OWN = '''
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Tuple
from gymnasium.wrappers import TimeLimit
from own_wrappers import Half


class Walk(gymnasium.Env):
    """Action 0 moves and pays 1; action 1 ends the episode."""

    def __init__(self, size=1.0):
        self.action_space = Tuple((Discrete(2), Tuple((Box(-size, size, (1,)), Box(0, 1, (0,))))))
        self.observation_space = Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.given = seed
        return self.np_random.uniform(-1, 1, 1).astype(np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 1.0, action[0] == 1, False, {}


class Wild(Walk):
    """Draws its starts from what no seed reaches."""

    def reset(self, *, seed=None, options=None):
        self.given = seed
        return np.random.uniform(-1, 1, 1).astype(np.float32), {}


class Strict(Wild):
    """Says so, if it is given a seed."""

    def reset(self, *, seed=None, options=None):
        assert seed is None, "no seeds here"
        return super().reset()


def limited(size=1.0):
    return TimeLimit(Walk(size), 7)


def nothing():
    return None


def lost(environment):
    return 3


gymnasium.register("Registered-v0", Wild, max_episode_steps=4)


class Registered(Walk):
    """Has the name of what is registered, which goes first."""
'''
WRAPPERS = """
import gymnasium


class Half(gymnasium.Wrapper):
    def __init__(self, environment, factor=0.5):
        super().__init__(environment)
        self.factor = factor

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return observation, self.factor * reward, *rest
"""
LIMIT = {"name": "TimeLimit", "max_episode_steps": 5}


@pytest.fixture
def registry() -> Iterator[None]:
    """What these modules register is forgotten: other tests have environments of the same names."""
    before = dict(gymnasium.registry)
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(before)


@pytest.fixture
def own(tmp_path, monkeypatch, registry) -> Iterator[Path]:
    """The folder of a user's modules."""
    (tmp_path / "own_code.py").write_text(OWN)
    (tmp_path / "own_wrappers.py").write_text(WRAPPERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    for known in (provenance._located, provenance._is_installed):
        known.cache_clear()
    yield tmp_path
    for name in ("own_code", "own_wrappers"):
        sys.modules.pop(name, None)


def task(name: str = "Walk", **settings: Any) -> Gymnasium:
    return Gymnasium(kind="gymnasium", id=f"own_code:{name}", **settings)


def measured(subject: Gymnasium) -> tuple[dict[str, Any], list[str]]:
    told, work = [], setup.measure(subject)
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return end.value, told


@pytest.mark.usefixtures("own")
def test_a_class_or_a_function_makes_the_environment() -> None:
    subject = task(max_episode_steps=3, arguments={"size": 2.0})
    assert (subject.time_limit, subject.actions.high.tolist()) == (3, [2.0])
    assert subject.describe()["id"] == subject.gymnasium_id == "own_code:Walk"
    assert (task("limited").time_limit, task("limited").describe().get("reproducible")) == (7, None)
    assert task("Registered").time_limit == 4  # as before there were classes
    with pytest.raises(SettingsError, match=r"^own_code:Walk: expected a time limit"):
        task().make()


@pytest.mark.usefixtures("own")
def test_wrappers_are_put_around_it_in_their_order() -> None:
    half, double = "own_wrappers:Half", {"name": "own_code:Half", "factor": 2.0}
    made = task(wrappers=[LIMIT, half, double, {"name": "ClipReward", "max_reward": 0.75}]).make()
    made.reset(seed=1)
    assert made.step((0, (np.zeros(1), np.zeros(0))))[1] == 0.75
    names = [type(layer).__name__ for layer in (made.env, made.env.env, made.env.env.env)]
    assert names == ["ClipReward", "Half", "Half"]
    assert made.time_limit == 5
    assert task("limited", wrappers=[{**LIMIT, "max_episode_steps": 90}]).time_limit == 7
    aware = task(wrappers=[LIMIT, {"name": "TimeAwareObservation", "normalize_time": True}])
    assert len(aware.observation_low) == 2


def test_wrappers_are_structure_and_survive_being_written_down() -> None:
    subject = task(wrappers=[LIMIT, "own_code:Half"])
    assert json.loads(subject.wrappers) == [LIMIT, {"name": "own_code:Half"}]
    assert Gymnasium.model_validate(subject.model_dump()) == subject
    assert structure(subject) != structure(task(wrappers=[LIMIT]))


@pytest.mark.parametrize(
    ("wrappers", "expected"),
    [
        ("TimeLimit", r"expected a list of wrappers, .* received 'TimeLimit'"),
        ([3], "expected a wrapper's name, or a mapping of its name .* received 3"),
        ([{"TimeLimit": {}}], "expected a wrapper's name, or a mapping"),
        (["TimeLimt"], "a wrapper of Gymnasium, .* received TimeLimt; did you mean 'TimeLimit'"),
        (["own_code.Half"], "or module:name of your own, received own_code.Half"),
        ([{"name": "own_code:Half", "factor": float("nan")}], "expected names with numbers"),
    ],
)
def test_refused_lists_of_wrappers(wrappers, expected) -> None:
    with pytest.raises(ValidationError, match=expected):
        task(wrappers=wrappers)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"id": "own_code:Wolk"}, "id: expected a class or .* received Wolk, .* mean 'Walk'"),
        ({"id": "os:system"}, "a module of your own .* received os of the standard library"),
        ({"arguments": {"sise": 1}}, r"arguments: expected its arguments \(size\), received sise"),
        ({"wrappers": ["own_code:Halb"]}, "wrappers: expected a class .* did you mean 'Half'"),
        ({"wrappers": ["own_code:lost"]}, "an environment from own_code:lost, received int"),
        (
            {"wrappers": [{"name": "TimeLimit", "max_steps": 3}]},
            r"TimeLimit: expected its arguments \(max_episode_steps\), received max_steps: ",
        ),
        ({"wrappers": ["shutil:rmtree"]}, "received shutil of the standard library"),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_cannot_be_made_is_told_in_one_line(settings, expected) -> None:
    subject = Gymnasium.model_validate({"kind": "gymnasium", "id": "own_code:Walk"} | settings)
    with pytest.raises(SettingsError, match=rf"^{subject.id}: .*{expected}") as caught:
        subject.make()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("own")
def test_a_fault_in_a_users_code_is_its_own() -> None:
    with pytest.raises(EnvironmentFailure, match=r"must inherit from the gymnasium\.Env"):
        task("nothing").make()
    with pytest.raises(EnvironmentFailure, match="failed in wrapper TimeLimit:\nValueError"):
        task(wrappers=[{"name": "TimeLimit", "max_episode_steps": -1}]).make()
    with pytest.raises(EnvironmentFailure, match="No module named 'no_such'"):
        task(wrappers=["no_such:Half"]).make()


@pytest.mark.parametrize("edited", ["own_code.py", "own_wrappers.py"])
def test_a_change_of_the_class_or_of_a_wrapper_is_another_source(own, edited) -> None:
    subject = task(wrappers=["TimeAwareObservation", "own_wrappers:Half"])
    before = digest(subject.sources)
    assert "gymnasium" in before["distributions"]
    (own / edited).write_text((own / edited).read_text() + "\nNEW = 1\n")
    assert digest(subject.sources) != before


def test_a_wrapper_that_is_named_from_elsewhere_is_followed_to_where_it_is_written(own) -> None:
    (own / "plain_code.py").write_text("Walk = None\n")
    subject = task(wrappers=["own_code:Half"])
    assert {"own_code", "own_wrappers"} <= subject.sources


@pytest.mark.usefixtures("own")
def test_what_cannot_be_seeded_is_refused_with_the_way_out_and_runs_with_it() -> None:
    for name in ("Wild", "Strict"):
        with pytest.raises(PamdpError, match=r"write seeded: false beside its id"):
            measured(task(name, wrappers=[LIMIT]))
        facts, told = measured(task(name, wrappers=[LIMIT], seeded=False))
        assert told[0] == (
            "not reproducible, as seeded is false: another run will give other results"
        )
        assert facts["reproducible"] is False
        assert facts["random_policy"]["episodes"] == 200
    made = task("Wild", wrappers=[LIMIT], seeded=False).make()
    made.reset(seed=3)
    assert made.unwrapped.given is None  # a seed that does nothing would promise something
    facts, told = measured(task("Walk", wrappers=[LIMIT]))
    assert "reproducible" not in facts
    assert all("reproducible" not in line for line in told)


@pytest.mark.usefixtures("own")
def test_an_episode_that_does_not_repeat_itself_is_refused_with_the_way_out() -> None:
    """The checker looks at the first step alone; this is found by playing episodes again."""
    with pytest.raises(PamdpError, match=r"write seeded: false beside its id"):
        measured(task("Walk", wrappers=[LIMIT, "NormalizeReward"]))


@pytest.mark.usefixtures("registry")
def test_the_environment_of_the_documentation_runs_as_it_stands(tmp_path, monkeypatch) -> None:
    page = (ROOT / "docs" / "environments.md").read_text()
    (code,) = re.findall(r"```python\n(import gymnasium\nimport numpy.*?)```", page, re.DOTALL)
    (tmp_path / "my_package.py").write_text(code)
    (line,) = re.findall(r"^    task: (\{.*my_package:Reach-v0.*\})$", page, re.MULTILINE)
    (tmp_path / "task.yaml").write_text(f"task: {line}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    subject = Gymnasium.model_validate(read(tmp_path / "task.yaml")["task"])
    facts, _ = measured(subject)
    assert [action["low"] for action in facts["actions"]] == [[-1.0], []]

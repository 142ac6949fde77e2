"""Any Gymnasium environment: its settings, what is refused, and what it is made of."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from pydantic import ValidationError

from pamdp.envs.gymnasium import Gymnasium
from pamdp.problems import EnvironmentFailure, SettingsError, explained
from pamdp.settings import Settings
from pamdp.structure import floats, structure, with_floats
from tests import user_environment
from tests.helpers import changed, params

MODULE = "tests.user_environment"


def task(name: str, **settings: Any) -> Gymnasium:
    return Gymnasium(kind="gymnasium", id=f"{MODULE}:{name}-v0", **settings)


# -- Settings --------------------------------------------------------------------------------------


def test_arguments_reach_the_constructor() -> None:
    subject = task("Reach", arguments={"longest": 0.5, "width": 0.1})
    assert subject.make().unwrapped.width == 0.1
    assert subject.actions.high.tolist() == [0.5]
    assert task("Reach").actions.high.tolist() == [1.0]


def test_arguments_are_structure() -> None:
    """Two sets of bounds in one compiled program would be one too few."""
    one, other = (task("Reach", arguments={"longest": value}) for value in (0.5, 1.0))
    assert structure(one) != structure(other)
    assert floats(one) == {}
    traced = with_floats(one, {"arguments.longest": "a tensor"})
    assert traced == one
    assert traced.actions.high.tolist() == [0.5]


def test_arguments_survive_being_written_down() -> None:
    values = {"a": 0.1, "b": [1, 2.5, None], "c": {"d": True}, "e": "text"}
    subject = task("Reach", arguments=values)
    assert json.loads(subject.arguments) == values
    assert Gymnasium.model_validate(subject.model_dump()) == subject
    assert Gymnasium.model_validate(json.loads(subject.model_dump_json())) == subject
    assert subject == task("Reach", arguments=dict(reversed(values.items())))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([1], r"expected names with numbers, .* received \[1\]"),
        ("text", "received 'text'"),
        ({1: 2}, r"received \{1: 2\}"),
        ({"a": {1: 2}}, "received"),
        ({"a": object}, "received"),
        ({"a": float("nan")}, "received"),
        ({"render_mode": "human"}, "what the environment's constructor takes, .* render_mode"),
        ({"max_episode_steps": 3}, "received max_episode_steps"),
    ],
)
def test_refused_arguments(arguments, expected) -> None:
    with pytest.raises(ValidationError, match=expected):
        task("Reach", arguments=arguments)


def test_an_unknown_argument_is_told_with_the_known_message_of_python() -> None:
    with pytest.raises(
        EnvironmentFailure,
        match=r"failed in make:\nTypeError: .*unexpected keyword argument 'widht'",
    ):
        task("Reach", arguments={"widht": 1.0}).make()


def test_refused_arguments_are_told_by_their_key() -> None:
    subject = {"kind": "gymnasium", "id": "a", "arguments": {"id": 1}}
    values = changed(params(), {"environments.platform.task": subject})
    with pytest.raises(ValidationError) as error:
        Settings.model_validate(values)
    assert explained(error.value, values) == [
        "environments.platform.task.arguments: expected what the environment's constructor takes, "
        "received id"
    ]


@pytest.mark.parametrize("settings", [{"copies": 0}, {"max_episode_steps": 0}])
def test_counts_are_positive(settings) -> None:
    with pytest.raises(ValidationError):
        task("Reach", **settings)


def test_the_time_limit() -> None:
    assert task("Reach").time_limit == 8
    assert task("Reach", max_episode_steps=3).time_limit == 3
    assert task("Endless", max_episode_steps=5).time_limit == 5
    with pytest.raises(
        SettingsError, match=f"^{MODULE}:Endless-v0: expected a time limit, .* none"
    ):
        task("Endless").make()


def test_facts_are_asked_for_once(monkeypatch) -> None:
    made = []
    make = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", lambda *a, **k: made.append(a) or make(*a, **k))
    settings = {"arguments": {"width": 0.123}}
    for subject in (task("Reach", **settings), task("Reach", **settings)):
        assert subject.observation_low.tolist() == [-1, -np.inf]
        assert subject.time_limit == subject.actions.num_actions * 4
    assert len(made) == 1


# -- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("nonsense", "'nonsense' failed in make:\n.*NameNotFound: Environment `nonsense` doesn't"),
        ("nomodule:X-v0", "failed in make:\nModuleNotFoundError: No module named 'nomodule'"),
    ],
)
def test_what_cannot_be_made(identifier, expected) -> None:
    with pytest.raises(EnvironmentFailure, match=expected):
        Gymnasium(kind="gymnasium", id=identifier).make()


def test_a_refused_space_is_told_with_the_id() -> None:
    with pytest.raises(SettingsError, match=r"^CartPole-v1: expected the action space Tuple"):
        Gymnasium(kind="gymnasium", id="CartPole-v1").make()


def test_check_runs_the_checks_of_gymnasium() -> None:
    task("Reach").check()
    task("Dice").check()
    with pytest.raises(EnvironmentFailure, match=r"failed in check_env:\nAssertionError: .*seed"):
        task("Broken", arguments={"where": "unseeded"}).check()
    with pytest.raises(EnvironmentFailure, match=r"failed in step with action(.|\n)*in step"):
        task("Broken", arguments={"where": "step"}).check()


# -- What it is made of ----------------------------------------------------------------------------


def test_the_source_of_an_environment_is_known() -> None:
    assert strangers(task("Reach")) == {MODULE: Path(user_environment.__file__)}


def strangers(subject: Gymnasium) -> dict[str, Path]:
    """Its sources but for the translation, which is this package's."""
    files = subject.source_files
    assert {"pamdp.envs.parameterised", "pamdp.envs.translation"} <= files.keys()
    return {name: file for name, file in files.items() if not name.startswith("pamdp.")}


# What registers, what makes, the class and its ancestor: a module each.
STRANGER = {
    "__init__": """
import gymnasium
gymnasium.register("Stranger-v0", "stranger.making:make", max_episode_steps=3)
""",
    "making": """
from gymnasium.wrappers import FlattenObservation
from stranger import tasks

def make():
    return tasks.Wrapped(FlattenObservation(tasks.Stranger()))
""",
    "tasks": """
import gymnasium
from gymnasium.spaces import Box
from stranger.base import Base

class Stranger(Base):
    observation_space = Box(0, 1, (2, 2))

class Wrapped(gymnasium.Wrapper):
    pass
""",
    "base": """
import gymnasium
from gymnasium.spaces import Box, Discrete, Tuple

class Base(gymnasium.Env):
    action_space = Tuple((Discrete(2), Box(0, 1, (1,))))
""",
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution with an environment, as an installer leaves it behind."""
    package = tmp_path / "stranger"
    package.mkdir()
    for name, text in STRANGER.items():
        (package / f"{name}.py").write_text(text)
    for name, top in (("a_stranger", "stranger"), ("unrelated", "tests")):
        info = tmp_path / f"{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "top_level.txt").write_text(f"{top}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for module in [name for name in sys.modules if name.startswith("stranger")]:
        del sys.modules[module]


def test_sources_and_distributions_of_an_installed_environment(installed) -> None:
    subject = Gymnasium(kind="gymnasium", id="stranger:Stranger-v0")
    assert strangers(subject) == {
        "stranger": installed / "__init__.py",
        "stranger.base": installed / "base.py",
        "stranger.making": installed / "making.py",
        "stranger.tasks": installed / "tasks.py",
    }
    assert subject.distributions == {"a_stranger": "1.5"}
    # Another distribution has a package of the same name as ours, elsewhere.
    assert task("Reach").distributions == {}

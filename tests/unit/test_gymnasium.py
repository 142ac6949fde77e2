"""Any Gymnasium environment: its settings, what is refused, and what it is made of."""

from __future__ import annotations

import json
import pickle
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from pydantic import ValidationError

from pamdp.base.calls import Programs
from pamdp.base.component import floats, structure, with_floats
from pamdp.base.errors import EnvironmentFailure, SettingsError
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.bridge.translation import Actions
from pamdp.envs.platform import Platform
from pamdp.explain import explained
from pamdp.provenance import digest, follow
from pamdp.settings import Settings, load
from tests import user_environment
from tests.helpers import ROOT, changed, params

MODULE = "tests.user_environment"


def task(name: str, **settings: Any) -> Gymnasium:
    return Gymnasium(kind="gymnasium", id=f"{MODULE}:{name}-v0", **settings)


# -- Settings --------------------------------------------------------------------------------------


def test_arguments_reach_the_constructor() -> None:
    subject = task("Reach", arguments={"longest": 0.5, "width": 0.1})
    assert subject.make().unwrapped.width == 0.1
    assert subject.actions.high.tolist() == [0.5]
    assert task("Reach").actions.high.tolist() == [1.0]


def test_the_lines_that_are_asked_for_are_read_from_the_file(tmp_path) -> None:
    """What the error about an action space says is put into params.yaml as it stands."""
    space = gymnasium.spaces.Dict(
        {
            "type": gymnasium.spaces.Discrete(2),
            "run": user_environment.UNIT,
            "a b": user_environment.UNIT,
        }
    )
    with pytest.raises(SettingsError) as caught:
        Actions.of(space)
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  parameters: ")]
    expected = [{0: ["a b"], 1: ["run"]}, "all"]
    for line, drives in zip(lines, expected, strict=True):
        text = (ROOT / "params.yaml").read_text()
        block = f"task: {{kind: gymnasium, id: X-v0, {line.strip()}}}"
        (tmp_path / "params.yaml").write_text(
            text.replace("task: {kind: platform, noise: 1.0}", block, 1)
        )
        assert load(tmp_path / "params.yaml").environments["platform"].task._drives == drives


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


def slide(longest: float) -> type[gymnasium.Env]:
    """A class as a cell of a notebook defines it, each time anew."""

    class Slide(user_environment.Reach):
        def __init__(self) -> None:
            super().__init__(longest=longest)

    return Slide


def test_a_name_that_stands_for_another_class_is_another_environment(monkeypatch) -> None:
    module = ModuleType("a_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    by_name = {"kind": "gymnasium", "id": "a_notebook:Slide", "max_episode_steps": 4}
    by_id = {"kind": "gymnasium", "id": "Slide-v7", "max_episode_steps": 4}
    for settings in (by_name, by_id):
        subjects = []
        for longest in (0.5, 2.0):
            module.Slide = slide(longest)
            monkeypatch.delitem(gymnasium.registry, "Slide-v7", raising=False)
            if settings is by_id:
                gymnasium.register("Slide-v7", "a_notebook:Slide")
            subjects.append(Gymnasium(**settings))
            assert subjects[-1].actions.high.tolist() == [longest]
        assert subjects[0] == subjects[1]
        # Bounds are constants of compiled programs.
        assert Programs.of(subjects[0]) is not Programs.of(subjects[1])
        assert Programs.of(subjects[1]) is Programs.of(Gymnasium(**settings))


def test_so_is_one_whose_wrapper_was_written_anew(monkeypatch) -> None:
    module = ModuleType("a_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for limit in (3, 2):
        module.short = partial(gymnasium.wrappers.TimeLimit, max_episode_steps=limit)
        assert task("Reach", wrappers=["a_notebook:short"]).time_limit == limit


# -- What was seen ---------------------------------------------------------------------------------

# Floats without a short decimal, and one next to a whole number.
FOUND = {"low": [0.1, 1.7e9 - 0.9], "high": [float(np.nextafter(3, 4)), 1.7e9 + 0.9]}


def test_what_was_seen_is_structure_and_no_digit_of_it_is_lost() -> None:
    subject = task("Reach", seen=FOUND)
    assert json.loads(subject.seen or "") == FOUND
    assert floats(subject) == {}
    assert structure(subject) != structure(task("Reach"))
    again = [subject.model_dump(), json.loads(subject.model_dump_json())]
    assert [Gymnasium.model_validate(values) for values in again] == [subject, subject]


def test_what_was_seen_and_what_actions_drive_reach_other_processes() -> None:
    drives = {0: ["1.0"], 1: ["1.1"]}
    subject = task("Reach", seen=FOUND, parameters=drives, omit=[])
    _ = subject.observation_low
    sent = pickle.loads(pickle.dumps(subject))
    assert sent == subject
    assert sent.observation_offset.tolist() == [0, 1.7e9]
    assert sent.make().observations.offset.tolist() == [0, 1.7e9]


def test_facts_complete_a_task_and_its_settings_go_first() -> None:
    found = task("Reach").with_facts({"seen": FOUND, "actions": []})
    assert found == task("Reach", seen=FOUND)
    own = task("Reach", seen={"low": [-1, 0], "high": [1, 500]})
    assert own.with_facts({"seen": FOUND}) is own
    ours = Platform(kind="platform")
    assert ours.with_facts({}) is ours


def test_what_was_seen_makes_no_instance(monkeypatch) -> None:
    _ = task("Reach").observation_low
    monkeypatch.delattr(gymnasium, "make")
    assert task("Reach", seen=FOUND).observation_low.tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize(
    "seen",
    [
        {"low": [0]},
        {"low": [0], "high": [1, 2]},
        {"low": [2], "high": [1]},
        {"low": [0], "high": [float("inf")]},
        {"low": [0], "high": ["1"]},
        {"low": 0, "high": 1},
        {"low": [0], "high": [1], "mean": [1]},
        [0, 1],
        "text",
    ],
)
def test_refused_ranges(seen) -> None:
    with pytest.raises(ValidationError, match="expected low and high with a finite number for ea"):
        task("Reach", seen=seen)


# -- What actions drive, and what is left out ------------------------------------------------------


def test_what_actions_drive_survives_being_written_down() -> None:
    for drives in ("all", {0: ["1.0"], 1: []}, {-1: ["run", "hop"], 10: [1]}):
        subject = task("Reach", parameters=drives, omit=[1, "a.b"])
        assert Gymnasium.model_validate(subject.model_dump()) == subject
        assert Gymnasium.model_validate(json.loads(subject.model_dump_json())) == subject
    assert json.loads(subject.parameters or "") == {"-1": ["run", "hop"], "10": ["1"]}
    assert subject.omit == ("1", "a.b")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"parameters": {0: "run"}}, "expected all, or for each action a list .* {0: 'run'}"),
        ({"parameters": ["run"]}, "expected all, or for each action a list"),
        ({"parameters": "al"}, "expected all, or .* received 'al'"),
        ({"parameters": {"run": ["run"]}}, "expected all, or"),
        # YAML reads 1.10 as 1.1.
        ({"parameters": {0: [1.0]}}, r"in quotes, such as \"1\.0\", received 1\.0"),
        ({"omit": [1.1]}, r"in quotes, such as \"1\.0\", received 1\.1"),
        ({"omit": [True]}, "received True"),
    ],
)
def test_refused_names_of_parts(settings, expected) -> None:
    with pytest.raises(ValidationError, match=expected):
        task("Reach", **settings)


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


# -- What is told of it ----------------------------------------------------------------------------


def test_it_describes_itself_as_every_task_does() -> None:
    described = task("Reach").describe()
    assert described == {
        "id": f"{MODULE}:Reach-v0",
        "max_episode_steps": 8,
        "observation": {"shape": [2], "low": [-1.0, None], "high": [1.0, None], "remarks": []},
        "actions": [
            {"name": "action_0", "low": [-1.0], "high": [1.0], "number": 0, "drives": ["1.0"]},
            {"name": "action_1", "low": [], "high": [], "number": 1, "drives": ["1.1"]},
        ],
        "seen": None,
    }
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert task("Reach").gymnasium_id == f"{MODULE}:Reach-v0"
    assert task("Reach").render_modes == ("rgb_array",)
    assert task("Dice").render_modes == ()


# -- What it is made of ----------------------------------------------------------------------------

TRANSLATION = {"pamdp.bridge.gymnasium", "pamdp.bridge.parameterised", "pamdp.bridge.translation"}


def test_the_source_of_an_environment_is_known_and_nothing_is_made_for_it(monkeypatch) -> None:
    monkeypatch.delattr(gymnasium, "make")
    subject = task("Reach", arguments={"width": 0.456})
    assert subject.sources == {MODULE} | TRANSLATION
    assert strangers(subject) == {MODULE: Path(user_environment.__file__)}


def strangers(subject: Gymnasium) -> dict[str, Path]:
    """The files of its sources and of what they import, but for this package's."""
    assert subject.sources >= TRANSLATION
    files = follow(subject.sources).files
    assert set(files) >= TRANSLATION
    return {name: file for name, file in files.items() if not name.startswith("pamdp.")}


def test_what_is_registered_nowhere_has_no_sources() -> None:
    with pytest.raises(EnvironmentFailure, match=r"'nonsense' failed in make:\n.*NameNotFound"):
        _ = Gymnasium(kind="gymnasium", id="nonsense").sources


# What registers, what makes, the class and its ancestor, and a wrapper: a module each.
STRANGER = {
    "__init__": """
import gymnasium
from gymnasium.envs.registration import WrapperSpec
wrapper = WrapperSpec("Wrapped", "NAME.wrapping:Wrapped", {})
gymnasium.register(
    "NAME-v0", "NAME.making:make", max_episode_steps=3, additional_wrappers=(wrapper,)
)
""",
    "making": """
from gymnasium.wrappers import FlattenObservation
from NAME import tasks

def make():
    return FlattenObservation(tasks.Stranger())
""",
    "tasks": """
import gymnasium
from gymnasium.spaces import Box
from NAME.base import Base

class Stranger(Base):
    observation_space = Box(0, 1, (2, 2))
""",
    "base": """
import gymnasium
from gymnasium.spaces import Box, Discrete, Tuple

class Base(gymnasium.Env):
    action_space = Tuple((Discrete(2), Box(0, 1, (1,))))
""",
    "wrapping": """
import gymnasium

class Wrapped(gymnasium.Wrapper):
    pass
""",
}


@pytest.fixture
def package(request, tmp_path, monkeypatch):
    """A package with an environment and its distribution, as an installer leaves them behind."""
    folder, name = tmp_path / request.param, f"a_{request.param.replace('-', '_')}"
    package = folder / name
    package.mkdir(parents=True)
    for module, text in STRANGER.items():
        (package / f"{module}.py").write_text(text.replace("NAME", name))
    for distribution, top in ((f"{name}_of_theirs", name), ("unrelated", "tests")):
        info = folder / f"{distribution}-1.5.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n"
        (info / "METADATA").write_text(metadata)
        (info / "top_level.txt").write_text(f"{top}\n")
    monkeypatch.syspath_prepend(folder)
    yield package
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]
    del gymnasium.registry[f"{name}-v0"]


@pytest.mark.parametrize("package", ["checkout"], indirect=True)
def test_of_an_environment_that_is_worked_on_the_code_is_followed(package) -> None:
    name = package.name
    subject = Gymnasium(kind="gymnasium", id=f"{name}:{name}-v0")
    assert subject.sources == {name, f"{name}.making", f"{name}.wrapping"} | TRANSLATION
    assert strangers(subject) == {
        name: package / "__init__.py",
        f"{name}.base": package / "base.py",
        f"{name}.making": package / "making.py",
        f"{name}.tasks": package / "tasks.py",
        f"{name}.wrapping": package / "wrapping.py",
    }


@pytest.mark.parametrize("package", ["site-packages"], indirect=True)
def test_of_an_installed_environment_the_distribution_is_known(package) -> None:
    name = package.name
    subject = Gymnasium(kind="gymnasium", id=f"{name}:{name}-v0")
    assert strangers(subject) == {}
    assert digest(subject.sources)["distributions"] == {f"{name}_of_theirs": "1.5"}
    # Another distribution has a package of the same name as ours, elsewhere.
    assert set(digest(task("Reach").sources)["distributions"]) == {"gymnasium", "numpy"}

"""Blocks that extend others: what they inherit, and what is said of mistakes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from pamdp import settings
from pamdp.base.errors import SettingsError
from pamdp.inheritance import origins, resolved
from pamdp.settings import Settings, load, validated
from tests.helpers import PARAMS, ROOT, changed

CHILD = "environments.mine"


def raw(**changes: Any) -> dict[str, Any]:
    """The values of params.yaml as they stand there, with a block `mine` that extends Goal."""
    values = YAML(typ="safe").load(PARAMS)
    values["environments"]["mine"] = {"extends": "goal"}
    return changed(values, {path.replace("__", "."): value for path, value in changes.items()})


def mine(**own: Any) -> Any:
    return validated(raw(environments__mine={"extends": "goal"} | own), "params.yaml").environments


def said(values: Any) -> list[str]:
    with pytest.raises(SettingsError) as error:
        validated(values, "params.yaml")
    first, *lines = str(error.value).splitlines()
    assert first == "params.yaml is wrong:"
    return [line.strip() for line in lines]


def test_a_block_that_says_nothing_is_the_same() -> None:
    found = mine()
    assert found["mine"] == found["goal"]


def test_mappings_are_put_together_key_by_key_and_level_by_level() -> None:
    found = mine(
        task={"version": "v1"},
        learner={"gamma": 0.5, "q": {"hidden": [8, 8]}, "exploration": {"sigma": 0.2}},
        training={"steps": 5000},
        initial_parameters=None,
    )
    dump = found["goal"].model_dump()
    dump["task"]["version"] = "v1"
    dump["learner"] |= {"gamma": 0.5}
    dump["learner"]["q"]["hidden"] = (8, 8)
    dump["learner"]["exploration"]["sigma"] = 0.2
    dump["training"]["steps"] = 5000
    dump["initial_parameters"] = None
    assert found["mine"].model_dump() == dump


def test_what_says_its_kind_is_complete() -> None:
    found = mine(
        task={"kind": "catch_point"},
        initial_parameters=None,
        learner={"exploration": {"kind": "uniform"}},
    )
    assert found["mine"].task.model_dump() == {"kind": "catch_point", "version": "v0"}
    assert found["mine"].learner.exploration.model_dump() == {"kind": "uniform"}
    assert found["mine"].learner.gamma == found["goal"].learner.gamma
    lines = said(raw(environments__mine__task={"kind": "sparse"}))
    assert lines == [f"{CHILD}.task.task: expected a value, received none"]


def test_kind_is_a_name_like_others_among_arguments_of_a_users_environment() -> None:
    task = {"kind": "gymnasium", "id": "m:E", "arguments": {"size": 3, "kind": "easy"}}
    values = raw(environments__goal__task=task)
    values["environments"]["mine"]["task"] = {"arguments": {"kind": "hard"}}
    found = resolved(values)["environments"]["mine"]["task"]
    assert found == task | {"arguments": {"size": 3, "kind": "hard"}}
    assert origins(values)("environments.mine.task.arguments.size") == (
        "environments.goal.task.arguments.size"
    )


@pytest.mark.parametrize(
    "blocks", [None, 3, {"goal": None}, {"goal": 3, "mine": {"extends": "goal"}}]
)
def test_blocks_that_are_none_are_a_mistake_like_others(blocks) -> None:
    lines = said(raw() | {"environments": blocks})
    assert lines[0].startswith("environments")
    assert ": expected " in lines[0]
    assert not any("inherited from environments.goal" in line for line in lines)


def test_a_change_reaches_all_descendants_in_any_order_of_blocks() -> None:
    values = raw(environments__mine={"extends": "hard_goal_v1"})
    blocks = values["environments"]
    values["environments"] = dict(reversed([*blocks.items()]))
    blocks["goal"]["learner"]["gamma"] = 0.25
    found = Settings.model_validate(resolved(values)).environments
    heirs = {name for name, each in found.items() if each.learner.gamma == 0.25}
    assert heirs == {
        *("goal", "goal_v1", "goal_without_initial_parameters", "hard_goal", "hard_goal_v1"),
        *("hard_goal_sampled", "hard_goal_v1_sampled", "sparse_goal", "mine"),
    }
    assert found["mine"].task.model_dump() == found["hard_goal_v1"].task.model_dump()


def test_nothing_of_what_was_read_is_changed() -> None:
    values = raw(environments__mine__learner={"gamma": 0.5})
    before = changed(values, {})
    resolved(values)
    assert values == before


SHIPPED = "pamdp.environments"


def test_what_comes_with_the_package_can_be_extended_by_its_path() -> None:
    shipped = load(PARAMS)
    values = raw()
    values["environments"] = {
        "goal": {"extends": f"{SHIPPED}.goal_v1", "learner": {"gamma": 0.5}},
        "mine": {"extends": "goal", "return_threshold": 1.0},
    }
    values["study"]["environments"] = ["mine"]
    values["tuning"] = {"extends": "pamdp.tuning", "trials": 3, "sampler": {"kind": "random"}}
    found = validated(values, "params.yaml")
    expected = shipped.environments["goal_v1"].model_dump()
    expected["learner"]["gamma"] = 0.5
    assert [*found.environments] == ["goal", "mine"]
    assert found.environments["goal"].model_dump() == expected
    assert found.environments["mine"].model_dump() == expected | {"return_threshold": 1.0}
    tuning = shipped.tuning.model_dump() | {"trials": 3, "sampler": {"kind": "random"}}
    assert found.tuning.model_dump() == tuning


def test_a_mistake_in_what_is_inherited_from_the_package_names_where_it_stands() -> None:
    values = raw(environments__mine={"extends": f"{SHIPPED}.goal_v1"})
    values["environments"]["mine"]["learner"] = {"replay_size": 100, "learning_starts": 1}
    (line,) = said(values)
    assert line.endswith(f"received 128 (inherited from {SHIPPED}.goal.learner.batch_size)")
    values = raw(tuning={"extends": "pamdp.tuning", "seeds": [1]})
    assert said(values)[0].startswith("tuning.seeds: expected none of study.seeds")


@pytest.mark.parametrize(
    ("path", "parent", "expected"),
    [
        ("environments.mine", f"{SHIPPED}.gaol", f"expected one of .*; did you mean '{SHIPPED}.g"),
        ("environments.mine", "pamdp.tuning", f"expected one of .*{SHIPPED}.goal, .*'pamdp.tun"),
        ("tuning", "goal", r"expected one of pamdp\.tuning, received 'goal'"),
        ("tuning", f"{SHIPPED}.goal", r"expected one of pamdp\.tuning, received 'pamdp"),
    ],
)
def test_what_the_package_does_not_have_is_refused(path, parent, expected) -> None:
    (line,) = said(changed(raw(), {path: {"extends": parent}}))
    assert re.match(rf"{path}\.extends: {expected}", line), line


def test_the_file_that_ships_cannot_extend_itself(monkeypatch) -> None:
    values = raw(environments__goal__extends=f"{SHIPPED}.goal")
    monkeypatch.setattr(settings, "read", lambda _: values)
    (line,) = said(values)
    assert ".goal extends pamdp.environments.goal" in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mine.extends": "gaol"}, "mine.extends: expected one of platform, .*'gaol'; .*'goal'"),
        ({"mine.extends": ["goal"]}, r"mine.extends: expected one of .*received \['goal'\]"),
        ({"mine.extends": None}, "mine.extends: expected one of platform, .*received None"),
        ({"mine.extends": "mine"}, "mine.extends: expected an end .*received mine extends mine"),
        (
            {"goal.extends": "mine"},
            "mine.extends: expected an end .*received goal extends mine extends goal",
        ),
    ],
)
def test_what_cannot_be_extended_is_refused(changes, expected) -> None:
    (line,) = said(changed(raw(), {f"environments.{k}": v for k, v in changes.items()}))
    assert re.match(f"environments.{expected}", line), line


def test_a_mistake_in_what_many_inherit_is_told_once_where_it_stands() -> None:
    lines = said(raw(environments__goal__learner__gamma=1.5, environments__mine__task={"a": 1}))
    assert lines == [
        "environments.goal.learner.gamma: expected less than or equal to 1, received 1.5",
        f"{CHILD}.task.a: unknown key; expected one of kind, version, noise",
    ]


def test_a_mistake_that_an_inherited_value_is_here_alone_names_where_it_stands() -> None:
    (line,) = said(raw(environments__mine__learner={"replay_size": 100, "learning_starts": 1}))
    place = "environments.goal.learner.batch_size"
    assert line.startswith(f"{CHILD}.learner.batch_size: expected at most what the memory keeps")
    assert line.endswith(f"received 128 (inherited from {place})")


def test_a_value_is_inherited_from_the_nearest_block_that_says_it() -> None:
    origin = origins(raw(environments__mine={"extends": "hard_move_10", "task": {"actuators": 4}}))
    for path, expected in {
        "task.kind": "hard_move_4",
        "task.actuators": None,
        "learner.gamma": "catch_point",
        "learner.q.hidden": "hard_move_4",
        "learner.q.hidden.0": "hard_move_4",
        "training.steps": "hard_move_10",
        "training.evaluation_episodes": "catch_point",
    }.items():
        place = expected and f"environments.{expected}.{path}"
        assert origin(f"{CHILD}.{path}") == place, path
    assert origin("tuning.trials") is None


def test_merge_keys_are_read_as_ever(tmp_path) -> None:
    text = PARAMS.read_text()
    old = "  goal_v1:\n    extends: goal\n"
    assert text.count(old) == 1
    text = text.replace("  goal:\n", "  goal: &goal\n").replace(old, "  goal_v1:\n    <<: *goal\n")
    text = text.replace("    task: {version: v1}\n", "    task: {kind: goal, version: v1}\n", 1)
    (tmp_path / "params.yaml").write_text(text)
    assert load(tmp_path / "params.yaml") == load(PARAMS)


WRITTEN = [PARAMS, ROOT / "src/pamdp/template/params.yaml", *ROOT.glob("studies/*/params.yaml")]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_file_has_the_layout_in_which_dvc_writes_it(tmp_path: Path, path: Path) -> None:
    copy = tmp_path / "params.yaml"
    copy.write_bytes(path.read_bytes())
    apply_overrides(str(copy), ["evaluation.episodes=50"])
    lines = path.read_text().splitlines()
    written = copy.read_text().splitlines()
    assert len(written) == len(lines)
    (line,) = [new for old, new in zip(lines, written, strict=True) if old != new]
    assert line.split("#")[0].strip() == "episodes: 50"

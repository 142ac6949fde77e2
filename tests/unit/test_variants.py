"""What algorithms of params.yaml say of the learner."""

import json
from pathlib import Path
from typing import Any

import pytest

import pamdp
from pamdp.algorithms import ALGORITHMS
from pamdp.base.component import modules_of
from pamdp.base.errors import SettingsError
from pamdp.schema import schema
from pamdp.settings import Settings, validated
from pamdp.variants import plain
from tests.helpers import changed, params
from tests.unit.test_schema import fits

TD3 = {"twin_q": True, "target_noise": {"std": 0.2, "clip": 0.5}, "q": {"learning_rate": 0.002}}


def with_td3(learner: Any = TD3, kind: str = "mpdqn", **changes: Any) -> dict[str, Any]:
    values = params()
    values["algorithms"]["td3"] = {"kind": kind, "learner": learner}
    values["study"]["algorithms"] = ["mpdqn", "td3"]
    return changed(values, changes)


def settings(values: Any) -> Settings:
    return validated(values, "params.yaml")


def message(values: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        settings(values)
    return str(refused.value)


def test_what_it_says_changes_the_learner_of_its_cells_and_of_no_others() -> None:
    found = settings(with_td3())
    own, other = (found.cell(f"platform-{name}-inverting") for name in ("td3", "mpdqn"))
    assert other.learner == found.environments["platform"].learner
    assert own.learner.twin_q
    assert own.learner.target_noise is not None
    assert own.learner.q.learning_rate == 0.002
    # Level by level: what is not said is as it is there.
    assert own.learner.q.hidden == other.learner.q.hidden
    assert own.learner.parameters == other.learner.parameters
    assert own.algorithm == other.algorithm == ALGORITHMS["mpdqn"](kind="mpdqn")
    assert (own.task, own.initial_parameters) == (other.task, other.initial_parameters)


def test_the_cell_is_that_of_an_environment_which_says_the_same() -> None:
    found = settings(with_td3())
    plainly = settings(changed(params(), {"environments.platform.learner.twin_q": True}))
    with_twins = settings(with_td3({"twin_q": True}))
    expected = plainly.cell("platform-mpdqn-inverting")
    assert with_twins.cell("platform-td3-inverting").learner == expected.learner
    assert "learner" not in plain(found.algorithms["td3"]).model_dump()


def test_a_block_of_kind_is_complete() -> None:
    noise = {"kind": "ornstein_uhlenbeck", "theta": 0.1, "sigma": 0.2}
    found = settings(with_td3({"exploration": noise})).cell("platform-td3-inverting")
    assert found.learner.exploration.model_dump() == noise


def test_settings_are_read_again_from_what_they_are_written_as() -> None:
    found = settings(with_td3())
    assert Settings.model_validate(found.model_dump(mode="json")).cells == found.cells


def test_it_runs_the_code_of_its_algorithm() -> None:
    """So that a fact about the code of `td3` is that of `mpdqn`."""
    found = settings(with_td3())
    assert modules_of(found.algorithms["td3"]) == {ALGORITHMS["mpdqn"].__module__}


def test_a_search_goes_from_there() -> None:
    """Trial 0 has the values of the cell, and paths are those of any learner."""
    cell = settings(with_td3()).cell("platform-td3-inverting")
    assert cell.replace({"learner.q.learning_rate": 0.1}).learner.twin_q
    with pytest.raises(SettingsError, match=r"algorithm.learner"):
        cell.replace({"algorithm.learner.twin_q": False})


@pytest.mark.parametrize(
    ("learner", "kind", "said"),
    [
        ({"gamma": 2.0}, "mpdqn", "algorithms.td3.learner.gamma: expected less than or equal to 1"),
        ({"twin": True}, "mpdqn", "algorithms.td3.learner.twin: unknown key; expected one of"),
        ({"q": {"hiden": [1]}}, "mpdqn", "algorithms.td3.learner.q.hiden: unknown key"),
        ("twins", "mpdqn", "algorithms.td3.learner: expected keys with values, received 'twins'"),
        (
            {"candidates": 2},
            "mpdqn",
            "algorithms.td3.learner.objective: expected indexed or weighted_indexed or td, since",
        ),
        (
            {"candidates": 2, "objective": "indexed"},
            "pdqn",
            "learner.candidates: expected null for P-DQN",
        ),
        ({"replay_size": 3}, "mpdqn", "algorithms.td3.learner.batch_size: expected at most what"),
    ],
)
def test_a_mistake_is_named_where_it_stands(learner, kind, said) -> None:
    assert said in message(with_td3(learner, kind))


def test_mistakes_of_an_algorithm_that_is_not_run_are_named_too() -> None:
    values = with_td3({"twin": True}) | {"study": params()["study"]}
    assert "algorithms.td3.learner.twin: unknown key" in message(values)


def test_runs_too_short_to_learn_are_refused_for_its_own_start() -> None:
    said = message(with_td3({"learning_starts": 50_000}, **{"tuning.trials": 0}))
    assert "expected runs of more than 50000 steps" in said
    assert "(algorithms.td3.learner.learning_starts)" in said


def test_every_mistake_is_told_once_and_what_is_inherited_as_such() -> None:
    values = with_td3({"gamma": 3.0, "batch_size": 0})
    values["algorithms"]["other"] = {"kind": "mpdqn", "learner": {"candidates": 2}}
    values["study"]["algorithms"].append("other")
    lines = message(values).splitlines()[1:]
    assert [line.strip().split(": ")[0] for line in lines] == [
        "algorithms.td3.learner.gamma",
        "algorithms.td3.learner.batch_size",
        "algorithms.other.learner.objective",
    ]
    assert "inherited" not in "".join(lines[:2])
    assert lines[2].endswith("(inherited from environments.platform.learner.objective)")


def test_an_algorithm_that_is_not_run_need_not_go_with_every_environment() -> None:
    values = with_td3({"objective": "sum"})
    values["study"] |= {"algorithms": ["mpdqn"], "environments": ["hard_goal_sampled"]}
    assert settings(values).cells
    values["study"]["algorithms"] = ["mpdqn", "td3"]
    assert "algorithms.td3.learner.objective: expected indexed" in message(values)


def test_what_only_an_algorithm_has_can_be_searched_over() -> None:
    values = with_td3()
    space = [{"path": "learner.target_noise.std", "low": 0.1, "high": 0.3}]
    values["tuning"] |= {"space": space}
    assert settings(values).tuning.space[0].path == "learner.target_noise.std"


def test_from_python_it_is_changed_as_any_learner(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(with_td3()))
    cell = pamdp.cell("platform", "td3", "inverting", params=path)
    assert cell.learner.twin_q
    assert cell.learner.q.learning_rate == 0.002
    other = cell.replace({"learner.twin_q": False, "learner.q.learning_rate": 0.1})
    assert not other.learner.twin_q
    assert other.learner.q.learning_rate == 0.1
    assert other.learner.target_noise is not None
    whole = {"algorithm": {"kind": "mpdqn", "learner": {"gamma": 0.5}}}
    assert cell.replace(whole).learner.gamma == 0.5
    assert cell.replace(whole).replace({"learner.gamma": 0.7}).learner.gamma == 0.7
    with pytest.raises(SettingsError, match=r"algorithm.learner: expected the path of a setting"):
        cell.replace({"algorithm.learner": {"twin_q": False}})
    other = pamdp.cell(
        "platform", "td3", "inverting", params=path, changes={"learner.twin_q": False}
    )
    assert not other.learner.twin_q


def test_editors_know_its_keys() -> None:
    whole = with_td3()
    assert fits(whole, schema())
    assert not fits(with_td3({"twin": True}), schema())
    assert not fits(with_td3({"gamma": 1.5}), schema())

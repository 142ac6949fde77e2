"""Cells: their names, other floats, shared forward passes, and what a record lists of them."""

import pickle
from typing import Any

import pytest

from pamdp.base.component import floats, structure
from pamdp.base.errors import SettingsError
from pamdp.learning.cell import Cell, CellName, learner_of, policy_of
from pamdp.settings import Settings, load
from tests.helpers import CHAIN, PARAMS, cell, params

# -- Names -----------------------------------------------------------------------------------------


def test_a_cell_by_its_name() -> None:
    with pytest.raises(SettingsError, match=r"received 'platform-mpdqn-invertng'; did you mean"):
        load(PARAMS).cell("platform-mpdqn-invertng")
    found = load(PARAMS).cell("platform-mpdqn-inverting")
    assert found.name == CellName("platform", "mpdqn", "inverting")


def test_a_name_is_its_parts_and_its_text() -> None:
    name = CellName("sparse_platform", "mpdqn", "reversal_inverting")
    assert str(name) == f"{name}" == "sparse_platform-mpdqn-reversal_inverting"
    assert CellName.parse(str(name)) == name
    assert (name.environment, name.algorithm, name.strategy) == tuple(name)
    for each in load(PARAMS).cells:
        assert CellName.parse(str(each.name)) == each.name


@pytest.fixture(scope="module")
def renamed() -> Settings:
    """A study with members under names that are not their kinds, beside those that are."""
    values = params()
    values["gradients"]["reversal_weak"] = {"kind": "reversal", "factor": 0.05, "scope": "taken"}
    values["algorithms"]["other"] = {"kind": "mpdqn"}
    values["study"]["strategies"] = ["reversal", "reversal_weak"]
    values["study"]["algorithms"] = ["mpdqn", "other"]
    return Settings.model_validate(values)


def test_members_may_have_names_that_are_not_their_kinds(renamed) -> None:
    found = {str(each.name): each for each in renamed.cells}
    assert list(found) == [
        "platform-mpdqn-reversal",
        "platform-mpdqn-reversal_weak",
        "platform-other-reversal",
        "platform-other-reversal_weak",
    ]
    for name, each in found.items():
        assert (each.algorithm.kind, each.strategy.kind) == ("mpdqn", "reversal")
        assert each.strategy.factor == (0.05 if name.endswith("weak") else 0.1)
        assert renamed.cell(name) == each
    assert len({structure(each) for each in found.values()}) == 1  # they share their programs


def test_a_record_tells_the_kind_where_the_name_does_not(renamed) -> None:
    usual, other = (
        renamed.cell(f"platform-{name}-reversal_weak").flattened() for name in ("mpdqn", "other")
    )
    assert other == usual | {
        "name": "platform-other-reversal_weak",
        "algorithm": "other",
        "algorithm.kind": "mpdqn",
        "algorithm.heads": 1,
    }
    assert "algorithm.kind" not in usual
    assert (usual["strategy_name"], usual["strategy.kind"]) == ("reversal_weak", "reversal")
    assert usual["strategy.factor"] == 0.05


def test_a_record_lists_every_setting_by_its_path() -> None:
    subject = cell("mpdqn", "reversal_inverting", learner__gamma=0.25)
    listed = subject.flattened()
    assert list(listed)[:4] == ["name", "environment", "algorithm", "strategy_name"]
    assert {path: listed[path] for path in list(listed)[:4]} == {
        "name": "platform-mpdqn-reversal_inverting",
        "environment": "platform",
        "algorithm": "mpdqn",
        "strategy_name": "reversal_inverting",
    }
    assert listed["learner.gamma"] == 0.25
    assert listed["strategy.members.1.kind"] == "inverting"
    assert listed["task.kind"] == "platform"
    assert listed["initial_parameters"] is None
    assert floats(subject).items() <= listed.items()
    assert not [path for path in listed if path.startswith("name.")]


# -- Other floats ----------------------------------------------------------------------------------


def test_replacing_floats_changes_these_and_no_others() -> None:
    before = cell("mpdqn", "reversal_inverting")
    values = {"learner.gamma": 0.25, "strategy.members.0.factor": 0.75}
    after = before.replace(values)
    assert floats(after) == floats(before) | values
    assert after.replace({path: floats(before)[path] for path in values}) == before
    assert type(after.name) is CellName


def test_replacing_is_validated() -> None:
    with pytest.raises(ValueError, match="less than or equal to 1"):
        cell().replace({"learner.gamma": 2.0})
    with pytest.raises(
        SettingsError,
        match=r"of platform-mpdqn-inverting, received 'learner.gama'; did you mean 'learner.gamma",
    ):
        cell().replace({"learner.gama": 0.5})
    with pytest.raises(ValueError, match="valid integer"):
        cell().replace({"learner.batch_size": 3.5})


def test_structure_may_be_replaced_too() -> None:
    ahead = {"steps": 3, "beta": 0.5}
    other = cell().replace(
        {"learner.batch_size": 3, "learner.q.hidden": [4], "learner.n_step": ahead}
    )
    assert (other.learner.batch_size, other.learner.q.hidden) == (3, (4,))
    assert other.learner.n_step is not None
    assert other.replace(
        {"learner.n_step.steps": 5}
    ).learner.n_step == other.learner.n_step.model_copy(update={"steps": 5})


def test_settings_cannot_be_assigned() -> None:
    with pytest.raises(ValueError, match="frozen"):
        cell().learner.gamma = 0.5


def test_a_cell_travels_to_another_process() -> None:
    for subject in (cell("spdqn", CHAIN), cell(task={"kind": "gymnasium", "id": "CartPole-v1"})):
        there = pickle.loads(pickle.dumps(subject))
        assert there == subject
        assert type(there) is Cell
        assert type(there.name) is CellName


# -- Forward passes --------------------------------------------------------------------------------


def forward(name: str) -> Any:
    """What tells the programs of a cell's forward passes apart: structure and floats."""
    subject = cell("mpdqn", name).forward
    return structure(subject), floats(subject)


def test_cells_that_differ_in_no_forward_pass_share_it() -> None:
    assert forward("plain") == forward("reversal") == forward("reversal_inverting")
    assert forward("plain") == forward("inverting")
    assert forward("squashing") == forward(CHAIN) != forward("plain")


def test_the_forward_cell_is_the_same_but_for_its_strategy() -> None:
    subject = cell("mpdqn", CHAIN)
    assert subject.forward.strategy is subject.strategy.members[1]
    assert subject.forward.model_copy(update={"strategy": subject.strategy}) == subject


def test_a_cell_makes_the_policy_and_the_learner_that_it_describes() -> None:
    subject = cell("spdqn", "reversal", initial_parameters={"bias": [1.0, 2.0, 3.0]})
    policy, learner = policy_of(subject), learner_of(subject)
    assert policy == learner.policy
    assert policy.spec is subject.task.actions
    assert policy.strategy is subject.strategy
    assert policy.parameter_network.network is subject.learner.parameters
    assert policy.initial_parameters is subject.initial_parameters
    assert policy.q_function == subject.algorithm.q_function(subject.learner.q, policy.spec)
    assert learner.settings is subject.learner

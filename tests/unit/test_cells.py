"""Cells: other floats, shared forward passes, and fingerprints of all that results depend on."""

from pathlib import Path
from typing import Any

import pytest

import pamdp
from pamdp import cells
from pamdp.settings import SettingsError, fingerprint, load
from pamdp.structure import floats
from tests.helpers import PARAMS, cell


def test_a_cell_by_its_name() -> None:
    with pytest.raises(SettingsError, match=r"received 'platform-mpdqn-invertng'; did you mean"):
        load(PARAMS).cell("platform-mpdqn-invertng")


def test_replacing_floats_changes_these_and_no_others() -> None:
    before = cell("mpdqn", "reversal_inverting")
    values = {"learner.gamma": 0.25, "strategy.members.0.factor": 0.75}
    after = before.replace(values)
    assert floats(after) == floats(before) | values
    assert after.replace({path: floats(before)[path] for path in values}) == before


def test_replacing_is_validated() -> None:
    with pytest.raises(ValueError, match="less than or equal to 1"):
        cell().replace({"learner.gamma": 2.0})
    with pytest.raises(
        SettingsError, match=r"received 'learner.gama'; did you mean 'learner.gamma"
    ):
        cell().replace({"learner.gama": 0.5})
    with pytest.raises(SettingsError, match="path of a float"):
        cell().replace({"learner.batch_size": 3})


def test_settings_cannot_be_assigned() -> None:
    with pytest.raises(ValueError, match="frozen"):
        cell().learner.gamma = 0.5


def test_cells_that_differ_in_no_forward_pass_share_it() -> None:
    forwards = {
        name: cell("mpdqn", name).forward
        for name in (
            "plain",
            "inverting",
            "reversal",
            "reversal_inverting",
            "squashing",
            "selective_squashing",
        )
    }
    assert forwards["plain"] == forwards["reversal"] == forwards["reversal_inverting"]
    assert forwards["squashing"] == forwards["selective_squashing"] != forwards["plain"]


OTHER_WORDS = {
    "learner.td_loss": "squared",
    "learner.objective": "indexed",
    "learner.evaluated": "online",
    "learner.q.activation": "tanh",
    "learner.parameters.activation": "elu",
    "strategy.scope": "all",
    "algorithm": "pdqn",
    "name": "other",
    "environment": "other",
    "strategy_name": "other",
}


# Another kind is another class, with other sources.
@pytest.mark.parametrize(
    "path", [p for p in cell("mpdqn", "reversal").flattened() if not p.endswith("kind")]
)
def test_every_setting_of_a_cell_is_in_its_fingerprint(path) -> None:
    subject = cell("mpdqn", "reversal", initial_parameters={"bias": [1.0, 2.0, 3.0]})
    value = subject.flattened().get(path)
    if isinstance(value, str):
        other: Any = OTHER_WORDS[path]
    elif path == "initial_parameters":
        other = None
    else:
        other = 0.25 if value is None else value + 1
    assert fingerprint(replaced(subject, path, other)) != fingerprint(subject)


def replaced(component: Any, path: str, value: Any) -> Any:
    """A component with another leaf, unchecked."""
    name, _, rest = path.partition(".")
    if isinstance(component, tuple):
        member = replaced(component[int(name)], rest, value) if rest else value
        return (*component[: int(name)], member, *component[int(name) + 1 :])
    member = getattr(component, name)
    return component.model_copy(update={name: replaced(member, rest, value) if rest else value})


def test_fingerprints_depend_on_the_other_parts() -> None:
    subject, study = cell(), load(PARAMS)
    marks = {
        fingerprint(subject),
        fingerprint(subject, study.training),
        fingerprint(subject, study.tuning),
        fingerprint(subject, study.tuning.training),
        fingerprint(subject, study.training, "more"),
    }
    assert len(marks) == 5
    assert fingerprint(cell(), load(PARAMS).training) in marks


@pytest.mark.parametrize(
    ("file", "changing"),
    [
        ("gradients/reversal.py", {"reversal", "reversal_inverting"}),
        ("gradients/inverting.py", {"inverting", "reversal_inverting"}),
        ("gradients/base.py", {"reversal", "inverting", "reversal_inverting", "pdqn"}),
        ("algorithms/pdqn.py", {"pdqn"}),
        ("algorithms/mpdqn.py", {"reversal", "inverting", "reversal_inverting"}),
        ("envs/platform.py", {"reversal", "inverting", "reversal_inverting", "pdqn"}),
        ("agents/learner.py", {"reversal", "inverting", "reversal_inverting", "pdqn"}),
        ("loops.py", {"reversal", "inverting", "reversal_inverting", "pdqn"}),
        ("reporting/page.py", set()),
    ],
)
def test_fingerprints_change_with_the_code_that_a_cell_runs(monkeypatch, file, changing) -> None:
    subjects = {
        name: cell("mpdqn", name) for name in ("reversal", "inverting", "reversal_inverting")
    } | {"pdqn": cell("pdqn", "plain")}
    before = {name: fingerprint(subject) for name, subject in subjects.items()}
    assert before == {name: fingerprint(subject) for name, subject in subjects.items()}
    edited, read = Path(pamdp.__file__).parent / file, Path.read_bytes
    assert edited.is_file()
    monkeypatch.setattr(
        cells.Path, "read_bytes", lambda p: read(p) + b"#" * (p.resolve() == edited.resolve())
    )
    after = {name: fingerprint(subject) for name, subject in subjects.items()}
    assert {name for name in subjects if after[name] != before[name]} == changing


def test_every_source_exists() -> None:
    for source in cells.sources(cell("mpdqn", "reversal_inverting")):
        assert source.is_file(), source

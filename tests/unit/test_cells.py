"""Cells: other floats, shared forward passes, and fingerprints of all that results depend on."""

import ast
from pathlib import Path
from typing import Any

import pytest

import pamdp
from pamdp import cells
from pamdp.envs import ENVIRONMENTS
from pamdp.settings import SettingsError, fingerprint, load
from pamdp.structure import Component, floats
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
    "task.version": "v7",
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


# Another kind is another class, with other sources. What is unchecked may be wrong.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    "path", [p for p in cell("mpdqn", "reversal").flattened() if not p.endswith("kind")]
)
def test_every_setting_of_a_cell_is_in_its_fingerprint(path) -> None:
    subject = cell(
        "mpdqn",
        "reversal",
        initial_parameters={"bias": [1.0, 2.0, 3.0]},
        learner__n_step={"steps": 3, "beta": 0.5},
    )
    value = subject.flattened().get(path)
    if isinstance(value, str):
        other: Any = OTHER_WORDS[path]
    elif path in ("initial_parameters", "learner.n_step"):
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
    training = study.environments["platform"].training
    marks = {
        fingerprint(subject),
        fingerprint(subject, training),
        fingerprint(subject, study.tuning),
        fingerprint(subject, study.tuning.training(training)),
        fingerprint(subject, study.tuning, training),
        fingerprint(subject, training, "more"),
    }
    assert len(marks) == 6
    again = load(PARAMS)
    assert fingerprint(cell(), again.environments["platform"].training) in marks


SPARSE = {"kind": "sparse", "task": {"kind": "platform"}}
SUBJECTS = {
    **{name: cell("mpdqn", name) for name in ("reversal", "inverting", "reversal_inverting")},
    "pdqn": cell("pdqn", "plain"),
    "spdqn": cell("spdqn", "plain"),
    "sparse": cell("pdqn", "plain", task=SPARSE),
    "move": cell("pdqn", "plain", task={"kind": "hard_move"}),
    "goal": cell("pdqn", "plain", task={"kind": "goal"}),
}
EVERY = set(SUBJECTS)
OF_PLATFORM = EVERY - {"move", "goal"}


@pytest.mark.parametrize(
    ("file", "changing"),
    [
        ("gradients/reversal.py", {"reversal", "reversal_inverting"}),
        ("gradients/inverting.py", {"inverting", "reversal_inverting"}),
        ("gradients/base.py", EVERY),
        ("gradients/chain.py", {"reversal_inverting"}),
        ("algorithms/pdqn.py", {"pdqn", "sparse", "move", "goal"}),
        ("algorithms/mpdqn.py", {"reversal", "inverting", "reversal_inverting"}),
        ("algorithms/spdqn.py", {"spdqn"}),
        ("algorithms/base.py", EVERY),
        ("envs/platform.py", OF_PLATFORM),
        ("envs/sparse.py", {"sparse"}),
        ("envs/hard_move.py", {"move"}),
        ("envs/point_mass.py", {"move"}),  # what its class is derived from
        ("envs/catch_point.py", set()),
        ("envs/base.py", EVERY),
        ("envs/canvas.py", EVERY),  # what its file uses, pictures too
        ("envs/soccer.py", {"goal"}),
        ("agents/learner.py", EVERY),
        ("agents/scaling.py", EVERY),
        ("agents/exploration.py", EVERY),
        ("networks.py", EVERY),
        ("loops.py", EVERY),
        ("reporting/page.py", set()),
    ],
)
def test_fingerprints_change_with_the_code_that_a_cell_runs(monkeypatch, file, changing) -> None:
    before = {name: fingerprint(subject) for name, subject in SUBJECTS.items()}
    assert before == {name: fingerprint(subject) for name, subject in SUBJECTS.items()}
    edited, read = Path(pamdp.__file__).parent / file, Path.read_bytes
    assert edited.is_file()
    monkeypatch.setattr(
        cells.Path, "read_bytes", lambda p: read(p) + b"#" * (p.resolve() == edited.resolve())
    )
    after = {name: fingerprint(subject) for name, subject in SUBJECTS.items()}
    assert {name for name in SUBJECTS if after[name] != before[name]} == changing


def test_the_code_of_a_component_is_all_that_its_classes_are_written_in() -> None:
    def names(component: Component) -> set[str]:
        return {path.name for path in cells.code_of(component)}

    any_of_them = {"base.py", "structure.py"}
    environment = any_of_them | {"canvas.py"}
    assert names(SUBJECTS["sparse"].functional) == environment | {"sparse.py", "platform.py"}
    assert names(SUBJECTS["move"].functional) == environment | {"hard_move.py", "point_mass.py"}
    assert {"goal.py", "soccer.py"} < names(SUBJECTS["goal"].functional)
    chained = names(SUBJECTS["reversal_inverting"].strategy)
    assert chained == any_of_them | {"chain.py", "reversal.py", "inverting.py"}
    hosted = cell(task={"kind": "gymnasium", "id": "CartPole-v1"})
    assert "gymnasium.py" in names(hosted)


@pytest.mark.parametrize("kind", list(ENVIRONMENTS))
def test_what_an_environment_imports_of_its_package_is_its_code(kind) -> None:
    """But for the list of all environments."""
    files, imported = cells.code_of(ENVIRONMENTS[kind].variants()[0]), set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "pamdp.envs":
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pamdp.envs."):
                imported.add(node.module.split(".")[2])
    missing = imported - {"members"} - {file.stem for file in files}
    assert not missing, "changes there would leave old results standing"


def test_every_source_exists() -> None:
    for source in cells.sources(cell("mpdqn", "reversal_inverting")):
        assert source.is_file(), source

"""Fingerprints: of all that the results of a cell depend on, its settings and the facts."""

from pathlib import Path
from typing import Any

import pytest

from pamdp.base.component import leaves
from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.learning.cell import Cell, CellName
from pamdp.settings import load
from pamdp.stages import results
from pamdp.stages.results import fingerprint
from tests.helpers import PARAMS, cell

SETTINGS = load(PARAMS)
FACTS = (
    *(f"algorithms/{name}" for name in ("mpdqn", "pdqn", "other")),
    *(f"strategies/{name}" for name in ("reversal", "inverting", "other")),
    *(f"environments/{name}" for name in ("platform", "goal", "other")),
    *(f"code/{stage}" for stage in ("tune", "train", "evaluate")),
    "versions",
    "measured",
    "descriptions",
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch) -> Checkout:
    """One whose facts are all the same, and invented: the code is not looked at."""
    monkeypatch.setattr(results, "digest", lambda modules: {})
    for name in FACTS:
        write_json(tmp_path / "metrics" / "setup" / f"{name}.json", {"source": "a"})
    return Checkout(SETTINGS, tmp_path)


SUBJECT = cell(
    "mpdqn",
    "reversal",
    initial_parameters={"bias": [1.0, 2.0, 3.0]},
    learner__n_step={"steps": 3, "beta": 0.5},
)
OTHER_WORDS = {
    "name.0": "other",
    "name.1": "other",
    "name.2": "other",
    "task.version": "v7",
    "task.kind": "goal",
    "algorithm.kind": "pdqn",
    "strategy.kind": "inverting",
    "learner.exploration.kind": "ornstein_uhlenbeck",
    "learner.td_loss": "squared",
    "learner.objective": "indexed",
    "learner.evaluated": "online",
    "learner.q.activation": "tanh",
    "learner.parameters.activation": "elu",
    "strategy.scope": "all",
}


# What is unchecked may be wrong.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("path", list(dict([*leaves(cell("mpdqn", "reversal")), *leaves(SUBJECT)])))
def test_every_setting_of_a_cell_is_in_its_fingerprint(checkout, path) -> None:
    value = dict(leaves(SUBJECT)).get(path)
    if isinstance(value, str):
        other: Any = OTHER_WORDS[path]
    elif path in ("initial_parameters", "learner.n_step"):
        other = None
    else:
        other = 0.25 if value is None else value + 1
    changed = fingerprint(checkout, "train", replaced(SUBJECT, path, other))
    assert changed != fingerprint(checkout, "train", SUBJECT)


def replaced(component: Any, path: str, value: Any) -> Any:
    """A component with another leaf, unchecked."""
    name, _, rest = path.partition(".")
    if isinstance(component, tuple):
        member = replaced(component[int(name)], rest, value) if rest else value
        members = (*component[: int(name)], member, *component[int(name) + 1 :])
        return type(component)(*members) if isinstance(component, CellName) else members
    member = getattr(component, name)
    return component.model_copy(update={name: replaced(member, rest, value) if rest else value})


def test_the_same_settings_give_the_same_fingerprint(checkout) -> None:
    again = Checkout(load(PARAMS), checkout.root)
    name = "platform-mpdqn-reversal"
    marks = {
        fingerprint(each, "train", each.settings.cell(name), each.settings.tuning)
        for each in (checkout, again)
    }
    assert len(marks) == 1
    assert fingerprint(checkout, "train", SUBJECT) == fingerprint(checkout, "train", copy(SUBJECT))
    (mark,) = marks
    assert len(mark) == 16
    assert int(mark, 16) >= 0


def copy(subject: Cell) -> Cell:
    return Cell.model_validate(subject.model_dump())


def test_fingerprints_depend_on_the_other_parts(checkout) -> None:
    training = SETTINGS.environments["platform"].training
    tuning = SETTINGS.tuning
    marks = {
        fingerprint(checkout, "tune", SUBJECT, *parts)
        for parts in (
            (),
            (training,),
            (tuning,),
            (tuning.training(training),),
            (tuning, training),
            (training, tuning),
        )
    }
    assert len(marks) == 6
    again = load(PARAMS).environments["platform"].training
    assert fingerprint(checkout, "tune", SUBJECT, again) in marks


@pytest.mark.parametrize("stage", ["tune", "train"])
@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_is_in_the_fingerprints_of_those_it_is_about(checkout, stage, fact) -> None:
    before = fingerprint(checkout, stage, SUBJECT)
    write_json(checkout.setup / f"{fact}.json", {"source": "b"})
    about = {
        "algorithms/mpdqn",
        "strategies/reversal",
        "environments/platform",
        f"code/{stage}",
        "versions",
    }
    assert (fingerprint(checkout, stage, SUBJECT) != before) == (fact in about)


def test_facts_are_not_mixed_up(checkout) -> None:
    """The same two contents, the other way round."""
    marks = set()
    for one, other in (("b", "c"), ("c", "b")):
        write_json(checkout.setup / "algorithms" / "mpdqn.json", {"source": one})
        write_json(checkout.setup / "strategies" / "reversal.json", {"source": other})
        marks.add(fingerprint(checkout, "train", SUBJECT))
    assert len(marks) == 2


def test_how_a_fact_is_written_is_not_in_it(checkout) -> None:
    before = fingerprint(checkout, "train", SUBJECT)
    (checkout.setup / "versions.json").write_text('{"source":"a"}')
    assert fingerprint(checkout, "train", SUBJECT) == before


def test_a_fact_that_is_missing_is_an_error_that_says_what_writes_it(checkout) -> None:
    (checkout.setup / "code" / "train.json").unlink()
    with pytest.raises(PamdpError, match=r"code/train.json: expected what `setup` writes"):
        fingerprint(checkout, "train", SUBJECT)

"""Fingerprints: of all that the results of a cell depend on, its settings and the facts."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pamdp.base.component import leaves
from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.learning.cell import Cell, CellName
from pamdp.settings import load, validated
from pamdp.stages import results
from pamdp.stages.facts import settings_of
from pamdp.stages.results import fingerprint
from tests.helpers import PARAMS, cell, changed, params

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
    """One whose facts are all the same, and invented: code and settings are not looked at."""
    monkeypatch.setattr(results, "digest", lambda modules: {})
    monkeypatch.setattr(results, "versions", dict)
    monkeypatch.setattr(results, "check_settings", lambda *_: None)
    monkeypatch.setattr(results, "checked_fact", lambda *_: {"versions": {}})
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


# -- Settings that setup has not looked at ---------------------------------------------------------

OTHERS = {
    "environments.platform.learner.gamma": 0.5,
    "environments.platform.training.steps": 4000,
    "environments.platform.task.noise": 0.5,
    "tuning.trials": 3,
    "environments.platform.return_threshold": 0.5,
    "comparisons.measures": ["area_under_curve"],
}


@pytest.mark.parametrize("path", OTHERS)
def test_settings_that_setup_has_not_looked_at_are_refused(tmp_path, path) -> None:
    """An edit between `setup` and a stage would be filed under the settings before it."""
    seen = Checkout(SETTINGS, tmp_path)
    for name, fact in settings_of(SETTINGS).items():
        write_json(seen.setup / f"{name}.json", fact)
    edited = Checkout(validated(changed(params(), {path: OTHERS[path]}), PARAMS), tmp_path)
    name, family = "platform-mpdqn-plain", path.split(".")[0]
    agreed = [
        name for name, fact in settings_of(edited.settings).items() if holds(seen, name, fact)
    ]
    stale = {each for each in settings_of(SETTINGS) if each not in agreed}
    if path.endswith("return_threshold"):
        assert stale == {"thresholds"}
    elif family == "comparisons":
        assert stale == {"comparisons"}
    elif family == "tuning":
        assert stale == {f"tuning/{cell.name}" for cell in SETTINGS.cells}
    else:
        assert stale == {"settings/platform"}
        with pytest.raises(PamdpError, match="settings/platform: expected the settings that `set"):
            results.cells(edited)
        with pytest.raises(PamdpError, match=r"received others; run `pamdp setup`, or `pamdp st"):
            fingerprint(edited, "train", edited.settings.cell(name))


def holds(checkout: Checkout, name: str, fact: Any) -> bool:
    try:
        results.checked_fact(checkout, name, fact)
    except PamdpError:
        return False
    return True


def test_what_a_search_needs_is_no_part_of_the_others() -> None:
    """CMA-ES for one cell: the facts of all other searches stay, and so do the versions."""
    before = settings_of(SETTINGS)
    tuning = {"cells": {"platform-mpdqn-plain": {"sampler": {"kind": "cmaes"}}}}
    values = params()
    values["tuning"] |= tuning
    after = settings_of(validated(values, PARAMS))
    assert {name for name in after if after[name] != before[name]} == {
        "tuning/platform-mpdqn-plain"
    }
    assert after["tuning/platform-mpdqn-plain"]["versions"] == {"cmaes": version("cmaes")}

"""Environments that break their word: the right result, or a message that blames them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from pamdp.base.errors import PamdpError
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.engines import Processes
from pamdp.learning.cell import Cell
from pamdp.learning.hosted import HostLoop
from pamdp.learning.loop import LoopState
from pamdp.learning.training import Point, Training, train
from pamdp.stages import setup
from tests.helpers import cell, differing
from tests.unit import misbehaving
from tests.unit.misbehaving import BEGIN, CASES, PROCESS, SPECIAL

MODULE = "tests.unit.misbehaving"
IN_PROCESS = [name for name in CASES if name not in PROCESS]
EVERY = [(name, {"id": "MisFaulty-v0", "arguments": {"case": name}}) for name in IN_PROCESS]
EVERY += [(name, {"id": f"Odd{name}-v0"}) for name in SPECIAL]


def task(values: dict[str, Any]) -> Gymnasium:
    return Gymnasium(kind="gymnasium", **values | {"id": f"{MODULE}:{values['id']}"})


def measured(subject: Gymnasium) -> tuple[dict[str, Any], list[str]]:
    """What setup finds, in this process, and what it tells."""
    told, steps = [], setup.measure(subject)
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return end.value["random_policy"], told


@pytest.fixture(autouse=True)
def _filters() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def good() -> dict[str, Any]:
    return measured(task({"id": "MisGood-v0"}))[0]


def blamed(message: str, expected: str) -> None:
    """Whether the message names the environment, has the words, and no frame but its own."""
    assert expected in message
    assert f"{MODULE}:" in message
    assert "/src/pamdp/" not in message
    assert "site-packages" not in message
    assert len(message) < 8_000
    if "Traceback" in message:
        first = next(
            line for line in message.splitlines() if line.strip().startswith(("File", "| "))
        )
        assert "misbehaving.py" in message, first


def test_there_are_enough_of_them() -> None:
    assert len(EVERY) + len(PROCESS) >= 60
    assert sum(case.late for case in CASES.values()) >= 60


@pytest.mark.parametrize(("name", "values"), EVERY, ids=[name for name, _ in EVERY])
def test_at_setup(name, values, good) -> None:
    expected = SPECIAL[name][2] if name in SPECIAL else CASES[name].expected
    if isinstance(expected, str):
        with pytest.raises(PamdpError) as caught:
            measured(task(values))
        blamed(str(caught.value), expected)
    else:
        found = measured(task(values))[0]
        assert {name: found[name] for name in expected or good} == (expected or good)


@pytest.mark.parametrize("name", PROCESS)
def test_at_setup_in_its_own_process(name, good) -> None:
    subject = task({"id": "MisFaulty-v0", "arguments": {"case": name}})
    expected = PROCESS[name].expected
    if isinstance(expected, str):
        with pytest.raises(PamdpError) as caught:
            setup.describe(subject)
        assert expected in str(caught.value)
    else:
        assert setup.describe(subject)["random_policy"] == good


NOT_REPRODUCIBLE = (
    "not reproducible, as it is registered as nondeterministic: another run will give other results"
)


def test_what_setup_tells() -> None:
    drives = [
        "action 0 (action_0) drives box 1.0, [-1.0] to [1.0]",
        "action 1 (action_1) has no parameters",
    ]
    assert measured(task({"id": "MisGood-v0"}))[1] == drives
    first, *_ = measured(task({"id": "OddDefaultSeed-v0"}))[1]
    assert first.startswith("The default seed argument in reset should be `None`, otherwise")
    line, *rest = measured(task({"id": "OddChance-v0"}))[1]
    assert line == NOT_REPRODUCIBLE
    assert rest == drives


# -- At training time ------------------------------------------------------------------------------

STEPS = BEGIN + 20


@pytest.fixture(scope="module")
def subject() -> Cell:
    """All tests here share its compiled programs."""
    late = {"kind": "gymnasium", "id": f"{MODULE}:MisLate-v0"}
    return cell("mpdqn", "plain", task=late)


@pytest.fixture
def turn(monkeypatch) -> Callable[[str], None]:
    return lambda name: monkeypatch.setattr(misbehaving, "LATE", name)


def trained(subject: Cell) -> LoopState:
    with closing(HostLoop(subject)) as loop:
        return loop.run(loop.initial(1), STEPS)


@pytest.fixture(scope="module")
def undisturbed(subject) -> LoopState:
    state = trained(subject)
    assert int(state.learner.episodes) == STEPS // misbehaving.LENGTH
    assert float(state.learner.statistics.updates) == STEPS - 16 + 1
    return state


@pytest.mark.parametrize("name", [name for name in IN_PROCESS if CASES[name].late])
def test_at_training_time(name, subject, undisturbed, turn) -> None:
    turn(name)
    expected = CASES[name].expected
    if isinstance(expected, str):
        with pytest.raises(PamdpError) as caught:
            trained(subject)
        blamed(str(caught.value), expected)
    else:
        assert differing(trained(subject).learner, undisturbed.learner) == []


def test_the_observations_that_are_stored_are_those_that_were_given(
    undisturbed, subject, turn
) -> None:
    """Each row of the memory has the observation before and the one after."""
    turn("same array")
    rows = np.asarray(trained(subject).learner.replay)
    np.testing.assert_array_equal(rows, np.asarray(undisturbed.learner.replay))
    assert len({row[:2].tobytes() for row in rows[:STEPS]}) == STEPS


def test_a_training_whose_process_is_gone_tells_of_which_cell(subject) -> None:
    length = Training(steps=STEPS, report_every=STEPS, evaluation_episodes=1)
    said = r"^train_late platform-mpdqn-plain 1 .* ended its process \(exit code 0\)"
    with pytest.raises(PamdpError, match=said), Processes(1) as engine:
        engine.map(misbehaving.train_late, [(subject, 1, length, "ends at reset")])


# -- Success that is never told --------------------------------------------------------------------


def evaluated(subject: Cell) -> np.ndarray:
    with closing(HostLoop(subject)) as loop:
        return loop.evaluate(loop.weights(loop.initial(1)), 1, 1, 12).successes


def test_success_that_is_not_told_is_missing(subject, turn, monkeypatch) -> None:
    told = evaluated(subject)
    assert set(told) == {0.0, 1.0}
    monkeypatch.setattr(misbehaving, "BEGIN", 0)
    turn("success when there is one")
    np.testing.assert_array_equal(evaluated(subject), told)
    turn("success never")
    assert np.isnan(evaluated(subject)).all()
    length = Training(steps=STEPS, report_every=STEPS // 2, evaluation_episodes=2)
    points = [event for event in train(subject, 1, length) if isinstance(event, Point)]
    assert [point.step for point in points] == [STEPS // 2, STEPS]
    assert not any("eval/success" in point.metrics for point in points)
    assert all("eval/return" in point.metrics for point in points)

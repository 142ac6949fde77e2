"""What candidates are refused with, and what the message says to do about it."""

from typing import ClassVar, Literal

import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.algorithms.pdqn import Joint
from pamdp.base.algorithm import Algorithm
from pamdp.learning.cell import Cell
from pamdp.learning.objectives import OBJECTIVES
from tests.helpers import cell

OWN = [kind for kind, algorithm in ALGORITHMS.items() if algorithm.own]


def with_candidates(algorithm: str = "mpdqn", objective: str = "indexed", number: int = 2) -> Cell:
    return cell(algorithm, "plain", learner__candidates=number, learner__objective=objective)


def test_most_algorithms_take_them() -> None:
    assert OWN == ["spdqn", "mpdqn", "epdqn"]
    for algorithm in OWN:
        assert with_candidates(algorithm).learner.candidates == 2
        assert with_candidates(algorithm, number=1000).learner.candidates == 1000


def test_pdqn_refuses_them_and_says_why_and_what_to_do() -> None:
    with pytest.raises(ValueError, match="expected null for P-DQN") as refused:
        with_candidates("pdqn")
    said = str(refused.value)
    assert "platform-pdqn-plain: learner.candidates: expected null" in said
    assert "depends on the parameters of all actions" in said
    assert "received 2. Take another algorithm (`spdqn`, `mpdqn`, `epdqn`)" in said
    assert cell("pdqn", "plain", learner__objective="indexed").learner.candidates is None


def test_an_algorithm_that_says_nothing_of_its_values_is_refused(monkeypatch) -> None:
    """One of a user's, who has written `values` alone."""

    class Mine(Algorithm):
        title: ClassVar[str] = "Mine"
        rule: ClassVar[str] = "P-DQN again."
        reference: ClassVar[str] = "none"
        kind: Literal["mine"]

        def q_function(self, network, spec):
            return Joint(network, spec)

    able = with_candidates("mpdqn")
    mine = able.model_copy(update={"algorithm": Mine(kind="mine")})
    with pytest.raises(ValueError, match=r"learner.candidates: expected null for Mine"):
        mine._able()  # as when it is validated
    monkeypatch.setattr(ALGORITHMS["mpdqn"], "own", Algorithm.own)
    with pytest.raises(ValueError, match=r"learner.candidates: expected null for MP-DQN"):
        with_candidates("mpdqn")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_that_look_at_other_actions_are_refused(objective) -> None:
    if objective in ("indexed", "weighted_indexed", "td"):
        assert with_candidates(objective=objective).learner.objective == objective
        return
    with pytest.raises(ValueError, match=r"expected indexed or weighted_indexed or td") as refused:
        with_candidates(objective=objective)
    assert f"received {objective}. Change it, or set candidates to null" in str(refused.value)


@pytest.mark.parametrize("number", [1, 0, -3])
def test_one_candidate_is_no_choice(number) -> None:
    with pytest.raises(ValueError, match=r"learner.candidates\n.*greater than or equal to [12]"):
        with_candidates(number=number)

"""The baselines value actions as the learner does, and learn; the page is that of the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import report
from benchmarks.baseline import Baseline, Problem
from benchmarks.cases import CASES
from benchmarks.measures import cell_of, vector
from benchmarks.tensorflow_agent import TensorFlowAgent
from pamdp.base.lazy import tf
from pamdp.learning.cell import learner_of


def agent_of(library: str, problem: Problem):
    if library == "tensorflow":
        return TensorFlowAgent(problem)
    pytest.importorskip("torch")
    from benchmarks.pytorch_agent import TorchAgent

    return TorchAgent(problem)


@pytest.fixture(params=["pdqn", "mpdqn"])
def problem(request) -> Problem:
    cell = cell_of("platform", request.param, learning_starts=20, batch_size=16)
    return Problem(cell.learner, cell.task.actions, 9, request.param == "mpdqn")


def test_the_values_of_a_baseline_are_those_of_the_learner(problem) -> None:
    algorithm = "mpdqn" if problem.multi_pass else "pdqn"
    learner = learner_of(cell_of("platform", algorithm))
    q_function, agent = learner.policy.q_function, TensorFlowAgent(problem)
    random = np.random.default_rng(1)
    s, x = (tf.constant(random.normal(size=[7, n]), tf.float32) for n in (9, 3))
    *hidden, (last, bias) = agent.q
    weights = (*hidden, (tf.transpose(last), bias))  # ours keep the last kernel [O, I]
    expected = q_function.values(weights, s, x)
    np.testing.assert_allclose(agent.values(agent.q, s, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("library", ["tensorflow", "pytorch"])
def test_baselines_learn_from_the_environment(problem, library) -> None:
    agent = agent_of(library, problem)
    loop = Baseline(agent, problem, cell_of("platform", "pdqn").task)
    before = [np.array(part) for part in agent.act(np.zeros(9, np.float32))]
    loop.run(40)
    assert (loop.steps, loop.episodes > 2) == (40, True)
    assert (loop.memory.r[:40] >= 0).all()
    assert not (loop.memory.s_next[40:] != 0).any()
    assert (loop.memory.terminated[:40].sum(), loop.memory.s[:40].shape) == (
        loop.episodes,
        (40, 9),
    )
    after = agent.act(np.zeros(9, np.float32))[1]
    assert (after != before[1]).any()


def test_the_page_is_that_of_the_numbers(tmp_path, monkeypatch) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "FIGURE", tmp_path / "figure.svg")
    case = {"unit": "us a step", "quartiles": [90.0, 110.0], "peak_mb": 512.0}
    cases = {
        "platform mpdqn: compiled loop": case | {"median": 100.0, "group": "loops"},
        "platform mpdqn: compiled loop, 2 seeds": case | {"median": 105.0, "group": "loops"},
        "platform mpdqn: PyTorch": case | {"median": 4000.0, "group": "loops"},
        "SavedModel, batch 1": case | {"median": 99.0, "group": "acting", "unit": "us a call"},
        "actions 1,024": case | {"median": 5e4, "group": "actions"},
        "A-v0: 16 copies, vector_entry_point": case | {"median": 20.0, "group": "vector"},
        "A-v0: 1,024 copies, sync": case | {"median": 400.0, "group": "vector"},
    }
    machine = {"processor": "one", "python": "3.11", "packages": {"numpy": "2.1"}}
    report.write({"machine": machine, "cases": cases})
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    for row in (
        "| platform mpdqn | compiled loop | 100 [90, 110] | 10,000 | 40.0 | 512 MB |",
        "| platform mpdqn | compiled loop, 2 seeds | 105 [90, 110] | 19,048 | 76.2 | 512 MB |",
        "| platform mpdqn | PyTorch | 4,000 [90, 110] | 250 | 1.0 | 512 MB |",
        "| SavedModel, batch 1 | 99 [90, 110] microseconds a call | 512 MB |",
        "| actions 1,024 | 50,000 [90, 110] | 512 MB |",
        "| A-v0, vector form | 16 | 20 [90, 110] | 50,000 | 20.0 | 512 MB |",
        "| A-v0, `SyncVectorEnv` | 1,024 | 400 [90, 110] | 2,500 | 1.0 | 512 MB |",
    ):
        assert row in text
    assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_copies_are_stepped_in_both_forms() -> None:
    for mode in ("vector_entry_point", "sync"):
        assert 0 < vector("pamdp/CatchPoint-v0", mode, 4, seconds=0.01)() < 1e6


def test_cases_have_units_and_cores() -> None:
    assert {case.unit for case in CASES.values()} == {"us a step", "us a call", "ms", "s", "%"}
    assert all(case.cores in (1, 2) for case in CASES.values())
    groups = {case.group for case in CASES.values()}
    assert set(report.AXES) | {"loops", "acting", "study", "tracking", "vector"} == groups

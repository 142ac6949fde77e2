"""The baselines value actions as the learner does, and learn; the page is that of the numbers."""

from __future__ import annotations

import shutil
from statistics import median
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import report
from benchmarks.baseline import Baseline, Problem
from benchmarks.cases import CASES, LONG, LOOPS, PACES
from benchmarks.floor import Floor
from benchmarks.measures import cell_of, vector
from benchmarks.run import Pace, kept
from benchmarks.tensorflow_agent import TensorFlowAgent
from pamdp.base import seeding
from pamdp.base.calls import compiled
from pamdp.base.lazy import tf
from pamdp.base.seeding import Stream
from pamdp.envs.platform import Platform
from pamdp.learning.cell import learner_of
from pamdp.learning.compiled import CompiledLoop
from pamdp.learning.updates import Trained


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


# -- Peers compute what the learner does -----------------------------------------------------------


@pytest.fixture(scope="module")
def updated() -> SimpleNamespace:
    """A state of MP-DQN after 700 steps, its next minibatch, and both networks after the update."""
    cell = cell_of("platform", "mpdqn")
    loop, learner = CompiledLoop(cell), learner_of(cell)
    state = loop.run(loop.initial(1), 700).learner

    def update(state):
        key = seeding.stream(state.seed, Stream.REPLAY, state.step)
        index = seeding.integers(key, (128,), tf.minimum(state.step, 10_000))
        learned = learner.learn(state)
        return index, learned.q_network, learned.x_network

    index, q, x = compiled(update)(state)
    rows = np.delete(state.replay.numpy(), 15, axis=1)  # no baseline keeps whether it ended
    for part in (np.s_[:, :9], np.s_[:, 15:]):
        rows[part] = 2 * rows[part] - 1
    return SimpleNamespace(cell=cell, state=state, rows=rows, index=index.numpy(), q=q, x=x)


def flat(trained: Trained) -> np.ndarray:
    """[5, N] weights, target's, both moments, and zeros in place of the gradient."""
    parts = trained.online, trained.target, trained.moments.first, trained.moments.second
    rows = [np.concatenate([np.ravel(leaf) for leaf in tf.nest.flatten(part)]) for part in parts]
    return np.stack([*rows, np.zeros_like(rows[0])]).astype(np.float32)


def test_the_update_by_hand_is_the_learners(updated) -> None:
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    q, x = flat(updated.state.q_network), flat(updated.state.x_network)
    count = int(updated.q.moments.count)
    Floor().update(q, x, np.ascontiguousarray(updated.rows), updated.index, count)
    for found, before, after in (
        (q, updated.state.q_network, flat(updated.q)),
        (x, updated.state.x_network, flat(updated.x)),
    ):
        moved = np.abs(after - flat(before))[:4].max(axis=1, keepdims=True)
        assert (moved > 0).all()
        assert (np.abs(found - after)[:4] <= 2e-3 * moved).all()


def leaves(trained, part: int) -> np.ndarray:
    """Weights of a network in JAX and of its target (0), or both moments (1), as one vector."""
    moments = trained.optimiser[1][0]
    nests = (moments.mu, moments.nu) if part else (trained.online, trained.target)
    return np.concatenate([np.ravel(leaf) for nest in nests for leaf in nest])


@pytest.mark.parametrize("shared", [False, True])
def test_the_update_in_jax_is_the_learners(updated, shared) -> None:
    pytest.importorskip("optax")
    from benchmarks import jax_loop

    def network(weights) -> jax_loop.Network:
        (kernel, bias), (kernel_out, bias_out) = tf.nest.map_structure(np.asarray, weights)
        return jax_loop.Network(kernel, bias, kernel_out.T, bias_out)

    def trained(own: Trained, adam) -> jax_loop.Trained:
        online, first, second = map(network, (own.online, own.moments.first, own.moments.second))
        clip, (moments, rest) = adam.init(online)
        moments = moments._replace(count=own.moments.count.numpy(), mu=first, nu=second)
        return jax_loop.Trained(online, network(own.target), (clip, (moments, rest)))

    loop, rows = jax_loop.Loop(updated.cell.learner, shared), updated.rows[updated.index]
    parts = rows[:, :9], rows[:, 9:12], rows[:, 12].astype(int), *rows[:, 13:15].T, rows[:, 15:]
    state = updated.state
    before = trained(state.q_network, loop.adam_q), trained(state.x_network, loop.adam_x)
    after = loop.learn(*before, jax_loop.Batch(*parts))
    expected = trained(updated.q, loop.adam_q), trained(updated.x, loop.adam_x)
    for old, new, own in zip(before, after, expected, strict=True):
        # The moments hold the gradient; where both are tiny, Adam moves weights by their last bits.
        for part, error in ((1, 1e-2), (0, 5e-2)):
            one, two, three = (leaves(each, part) for each in (new, own, old))
            assert np.linalg.norm(one - two) <= error * np.linalg.norm(two - three)


def test_platform_in_jax_is_platform() -> None:
    jax = pytest.importorskip("jax")
    from benchmarks import jax_platform

    task, random = Platform(kind="platform", noise=0.0), np.random.default_rng(1)
    ours, key = task.initial(tf.constant([0, 0]), 1), tf.constant([1, 2])
    step, transition = jax.jit(jax_platform.moved), compiled(task.transition)
    theirs, noise = jax_platform.initial(), np.zeros([161, 2], np.float32)
    ended = 0
    for _ in range(60):
        np.testing.assert_allclose(
            jax_platform.observation(theirs), task.observation(ours)[0], atol=1e-5
        )
        action = int(random.integers(3))
        parameter = np.float32(random.uniform(0, task.actions.high[action]))
        outcome = transition(ours, tf.constant([action]), tf.constant([[parameter]]), key)
        theirs, reward, over = step(theirs, action, parameter, noise)
        np.testing.assert_allclose(reward, outcome.reward[0], atol=1e-5)
        assert bool(over) == bool(outcome.terminated[0])
        ours = outcome.state
        if over:
            ended += 1
            ours, theirs = task.initial(tf.constant([0, 0]), 1), jax_platform.initial()
    assert ended > 3


def test_the_loop_in_jax_learns() -> None:
    jax = pytest.importorskip("optax") and pytest.importorskip("jax")
    from benchmarks.jax_loop import Loop

    loop = Loop(cell_of("platform", "mpdqn", learning_starts=20).learner, shared=True)
    start = jax.jit(loop.initial)(1)
    before, after = (jax.jit(loop.run)(start, steps) for steps in (19, 60))
    assert (before.q.online.kernel == start.q.online.kernel).all()
    assert (after.q.online.kernel != start.q.online.kernel).any()
    assert (after.policy.online.kernel != start.policy.online.kernel).any()
    assert int(after.steps) == 60
    assert int(after.episodes) == int((after.memory.continues[:60] == 0).sum())


# -- Results and the page --------------------------------------------------------------------------

CASE = {"unit": "us a step", "quartiles": [90.0, 110.0], "peak_mb": 512.0, "slow_rounds": 0}
MACHINE = {"processor": "one", "python": "3.11", "packages": {"numpy": "2.1"}}


def case_of(group: str, *values: float, run: str = "2026-01-02", **others) -> dict:
    numbers = {"median": median(values), "values": [*values], "run": run}
    return CASE | {"group": group} | numbers | others


@pytest.fixture
def page(tmp_path, monkeypatch):
    """What is written of some results."""
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    monkeypatch.setattr(report, "PAGE", path)
    monkeypatch.setattr(report, "FIGURE", tmp_path / "figure.svg")

    def written(*results: dict) -> str:
        report.write([*results])
        return path.read_text()

    return written


def test_the_page_is_that_of_the_numbers(page, tmp_path) -> None:
    cases = {
        "platform mpdqn: compiled loop": case_of("platform mpdqn", 100.0, 200.0, 100.0),
        "platform mpdqn: compiled loop, 2 seeds": case_of("platform mpdqn", 105.0, 105.0, 105.0),
        "platform mpdqn: PyTorch": case_of("platform mpdqn", 4e3, 6e3, 3e3, needs="torch 9"),
        "platform mpdqn: update in C++": case_of("platform mpdqn", 25.0, run="2025-12-31"),
        "SavedModel, batch 1": case_of("acting", 99.0, unit="us a call"),
        "actions 1,024": case_of("actions", 5e4),
        "cells 256": case_of("cells", 1.5, unit="s"),
        "A-v0: 16 copies, vector_entry_point": case_of("vector", 20.0),
        "A-v0: 1,024 copies, sync": case_of("vector", 400.0),
    }
    text = page({"machine": MACHINE, "cases": cases})
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    for row in (
        "Measured on: one; Python 3.11, numpy 2.1, torch 9.\n",
        "| platform mpdqn: compiled loop | 100 [90, 110] | 10,000 | 512 MB |",
        "| platform mpdqn: compiled loop, 2 seeds | 105 [90, 110] | 19,048 | 512 MB |",
        "| platform mpdqn: PyTorch | 4,000 [90, 110] | 250 | 512 MB |",
        "| platform mpdqn: PyTorch | 30.00 [30.00, 40.00] |",
        "| platform mpdqn: update in C++ (of an earlier run, 2025-12-31) | 0.25 |",
        "| SavedModel, batch 1 | 99 [90, 110] microseconds a call | 512 MB |",
        "| actions 1,024 | 50,000 [90, 110] microseconds a step | 512 MB |",
        "| cells 256 | 1.5 [90.0, 110.0] s | 512 MB |",
        "| A-v0, vector form | 16 | 20 [90, 110] | 50,000 | 20.0 | 512 MB |",
        "| A-v0, `SyncVectorEnv` | 1,024 | 400 [90, 110] | 2,500 | 1.0 | 512 MB |",
    ):
        assert row in text
    assert (tmp_path / "figure.svg").stat().st_size > 1000


def test_the_page_has_what_there_is_of_each_machine(page, tmp_path) -> None:
    other = MACHINE | {"processor": "two"}
    old = {"platform pdqn: compiled loop": case_of("platform pdqn", 100.0)}
    new = {"seeds 1": case_of("seeds", 7.0, slow_rounds=1)}
    text = page({"machine": MACHINE, "cases": old}, {"machine": other, "cases": new})
    first, second = text.index("Measured on: two;"), text.index("Measured on: one;")
    assert first < text.index("| seeds 1 |") < second < text.index("| platform pdqn: compiled")
    assert "In 1 of 1 rounds the machine stayed slow." in text
    assert (tmp_path / "figure.svg").is_file()  # of the machine that has loops
    (tmp_path / "figure.svg").unlink()
    page({"machine": other, "cases": new})
    assert not (tmp_path / "figure.svg").exists()


def test_results_of_other_machines_are_kept() -> None:
    here, other = MACHINE, MACHINE | {"processor": "two"}
    results = [{"machine": here, "cases": {"a": 1}}, {"machine": other, "cases": {"b": 2}}]
    assert kept(here, results) == results[::-1]
    assert kept(MACHINE | {"python": "3.13"}, results)[:2] == results
    assert kept(here, []) == [{"machine": here, "cases": {}}]


def test_a_round_in_a_slow_phase_is_repeated() -> None:
    paces = iter([10.0, 10.0, 20.0, 10.5, 11.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0])
    rounds = iter(range(9))
    pace = Pace(lambda: next(paces))
    assert pace.steadily(lambda: next(rounds)) == 1
    assert pace.slow_rounds == 0
    assert pace.steadily(lambda: next(rounds)) == 4  # the last try counts
    assert pace.slow_rounds == 1


def test_copies_are_stepped_in_both_forms() -> None:
    for mode in ("vector_entry_point", "sync"):
        assert 0 < vector("pamdp/CatchPoint-v0", mode, 4, seconds=0.01)() < 1e6


UNITS = {"us a step", "us a call", "ms", "ms a cell", "s", "%"}


def test_cases_have_units_and_cores() -> None:
    assert {case.unit for case in CASES.values()} == UNITS
    assert all(case.cores in (1, 2) for case in CASES.values())
    groups = {case.group for case in CASES.values()}
    assert {*LOOPS, *report.HEADINGS, "vector", "seeds"} <= groups
    assert set(PACES) <= set(CASES)
    assert set(LONG) <= groups

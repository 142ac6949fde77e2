"""The loop on the host: the compiled loop's numbers in any environment of Gymnasium."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from pamdp.base.environment import Environment
from pamdp.base.lazy import tf
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.bridge.parameterised import Parameterised
from pamdp.bridge.tasks import TASKS
from pamdp.evaluation import MEASURES
from pamdp.learning import training
from pamdp.learning.cell import Cell, policy_of
from pamdp.learning.compiled import CompiledLoop
from pamdp.learning.hosted import HostLoop
from pamdp.learning.loops import LOOPS, loop_for, loop_of
from pamdp.learning.rollout import Command, greedy
from pamdp.learning.training import Point, Training, train
from tests.helpers import ROOT, after, bytes_of, cell, differing


@pytest.fixture(scope="module")
def subject() -> Cell:
    """All tests here share its compiled programs, and no other tests do, which count traces."""
    return cell(
        "mpdqn",
        "reversal",
        learner__parameters__output_std=0.1,
        learner__n_step={"steps": 3, "beta": 0.5},
        learner__replay_size=80,
    )


def on_host(subject: Cell, environment: str = "pamdp/Platform-v0") -> Cell:
    return subject.model_copy(update={"task": Gymnasium(kind="gymnasium", id=environment)})


@pytest.fixture(scope="module")
def with_candidates() -> Cell:
    return cell(
        "epdqn",
        "reversal",
        learner__parameters__output_std=0.1,
        learner__n_step={"steps": 3, "beta": 0.5},
        learner__replay_size=80,
        learner__objective="indexed",
        learner__candidates=2,
    )


@pytest.fixture(scope="module")
def with_scores() -> Cell:
    return cell("paddpg", "reversal", learner__parameters__output_std=0.1)


@pytest.fixture(scope="module")
def with_heads() -> Cell:
    changes = {"learner__parameters__output_std": 0.1, "learner__objective": "weighted_indexed"}
    return cell("mpdqn", "reversal", **changes).replace({"algorithm.heads": 2})


@pytest.mark.parametrize("name", ["subject", "with_candidates", "with_scores", "with_heads"])
def test_both_loops_agree_bit_for_bit(name, request) -> None:
    """The same environment and seed: all that learning depends on, over episodes and updates.

    Only the books of the scores may differ in the last bit: a compiler may keep more digits of a
    reward that it adds at once than of one that has been a float in between.
    """
    subject = request.getfixturevalue(name)
    compiled, host = CompiledLoop(subject), HostLoop(on_host(subject))
    states = compiled.initial(1), host.initial(1)
    assert differing(states[0].learner, states[1].learner) == []
    for _ in range(3):
        states = compiled.run(states[0], 80), host.run(states[1], 80)
        one, two = (state.learner for state in states)
        assert set(differing(one, two)) <= {"running_return", "statistics"}
        for a, b in zip(one.statistics, two.statistics, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5)
        np.testing.assert_allclose(one.running_return, two.running_return, atol=1e-5)
    assert int(one.episodes) > 20
    assert float(one.statistics.updates) == 240 - 16 + 1
    traces = host.programs.traces
    assert (traces["advance"], traces["answer"]) == (1, 1)


def test_greedy_episodes_agree_between_the_loops(subject) -> None:
    """Without noise an episode is determined by its policy."""
    gymnasium.register(
        "pamdp-tests/Quiet-v0",
        "pamdp.bridge.adapter:RegisteredEnv",
        max_episode_steps=200,
        kwargs={"kind": "platform", "noise": 0.0},
    )
    quiet = subject.replace({"task.noise": 0.0})
    compiled, host = CompiledLoop(quiet), HostLoop(on_host(quiet, "pamdp-tests/Quiet-v0"))
    for steps in (20, 400):
        weights = compiled.weights(after(subject, steps))
        a = compiled.evaluate(weights, 1, 1, 20, MEASURES)
        b = host.evaluate(weights, 1, 1, 2, MEASURES)
        np.testing.assert_allclose(a.returns[:2], b.returns, rtol=1e-4)
        np.testing.assert_array_equal(a.lengths[:2], b.lengths)
        np.testing.assert_array_equal(a.successes[:2], b.successes)
        assert set(a.means) == set(b.means) == {"clipped_share", "near_bound_share"}
        for name, mean in a.means.items():
            np.testing.assert_allclose(mean, b.means[name], rtol=1e-5)


def test_evaluations_on_the_host_are_numbered_and_repeatable(subject) -> None:
    host = HostLoop(on_host(subject))
    weights = host.weights(after(subject, 100))
    one, again, other, seed = (
        host.evaluate(weights, *draw, 3) for draw in ((1, 7), (1, 7), (1, 8), (2, 7))
    )
    assert bytes_of(one) == bytes_of(again)
    assert bytes_of(one) != bytes_of(other)
    assert bytes_of(one) != bytes_of(seed)


def test_a_run_on_the_host_starts_anew(subject, monkeypatch) -> None:
    """Its environment is no value that could be saved: it gives no checkpoints."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    short = Training(steps=20, report_every=10, evaluation_episodes=1)
    points = list(train(on_host(subject), 1, short))
    assert all(isinstance(point, Point) for point in points)
    assert [point.step for point in points] == [10, 20]
    assert points == list(train(on_host(subject), 1, short))


MEMORY = """
import resource, sys
from pamdp.learning.training import Training, train
from tests.helpers import cell

def peak(rows):
    hosted = cell(task={"kind": "gymnasium", "id": "pamdp/Platform-v0"}, learner__replay_size=rows)
    list(train(hosted, 1, Training(steps=30, report_every=10, evaluation_episodes=1)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT

UNIT = 1 if sys.platform == "darwin" else 1024
rows, row = 4_000_000, 4 * (2 * 9 + 3 + 4)  # 400 MB
small = peak(64)
print((peak(rows) - small) / (rows * row))
"""


def test_there_is_one_copy_of_the_replay_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {[str(ROOT), *sys.path]}\n{MEMORY}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 1.3


def test_the_loop_follows_from_the_environment(subject) -> None:
    assert type(loop_of(subject)) is CompiledLoop
    assert type(loop_of(on_host(subject))) is HostLoop
    assert loop_for(subject.task) is CompiledLoop
    assert loop_for(on_host(subject).task) is HostLoop


def test_every_task_is_of_one_form_and_every_form_has_a_loop() -> None:
    for kind, task in TASKS.items():
        forms = [form for form in LOOPS if issubclass(task, form)]
        assert forms == [Gymnasium if kind == "gymnasium" else Environment]


def test_both_loops_play_a_function_as_they_play_the_policy(subject) -> None:
    """The same episodes, of the same random numbers, step by step."""
    for each in (subject, on_host(subject)):
        loop = loop_of(each)
        weights = loop.weights(after(subject, 100))

        def decide(observations: np.ndarray, each: Cell = each, weights=weights) -> Command:
            command = greedy(policy_of(each), weights, tf.constant(observations), tf.zeros([2]))
            return Command(*(np.asarray(part) for part in command))

        acted, evaluated = loop.act(decide, 1, 7, 3), loop.evaluate(weights, 1, 7, 3)
        np.testing.assert_allclose(acted.returns, evaluated.returns, rtol=1e-4)
        np.testing.assert_array_equal(acted.lengths, evaluated.lengths)
        np.testing.assert_array_equal(acted.successes, evaluated.successes)
        assert bytes_of(loop.act(decide, 1, 8, 3)) != bytes_of(acted)
        loop.close()


def test_environments_are_closed_when_training_ends(subject, monkeypatch) -> None:
    open_ones, make, close = [], Gymnasium.make, Parameterised.close

    def made(task, *arguments):
        open_ones.append(make(task, *arguments))
        return open_ones[-1]

    def closed(environment):
        open_ones.remove(environment)
        close(environment)

    hosted = on_host(subject)
    monkeypatch.setattr(Gymnasium, "make", made)
    monkeypatch.setattr(Parameterised, "close", closed)
    short = Training(steps=20, report_every=10, evaluation_episodes=1)
    run = train(hosted, 1, short)
    next(run)
    assert len(open_ones) == 2  # one to train in and one to evaluate in
    run.close()  # as when another seed fails
    assert open_ones == []
    list(train(hosted, 1, short))
    assert open_ones == []


def test_features_in_useless_bounds_reach_the_network_with_a_spread(subject) -> None:
    """Of the bounds of float32 and of the seconds since 1970, all would be one number."""
    given = {"kind": "gymnasium", "id": "tests.user_environment:Wide-v0"}
    task = Gymnasium.model_validate(given | {"parameters": {3: ["push"], 4: []}})
    _, measured = HostLoop.random_episodes(task)
    assert measured.seen is not None
    loop = HostLoop(subject.model_copy(update={"task": measured}))
    learner = loop.run(loop.initial(1), 60).learner
    loop.close()
    rows = learner.replay[:60, :3]
    spreads = np.std(policy_of(loop.cell).scaling.apply(learner.observed, rows), axis=0)
    assert ((spreads > 0.5) & (spreads < 2)).all()
    blind = policy_of(subject.model_copy(update={"task": task})).scaling
    assert np.std(blind.apply(learner.observed, rows), axis=0)[1] == 0

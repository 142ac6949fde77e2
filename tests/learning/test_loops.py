"""Both loops: the same bytes for any chunks, interruptions and threads, and in either loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamdp import checkpoint
from pamdp.base.component import floats, structure, with_floats
from pamdp.base.errors import TrainingError
from pamdp.engines.threads import Threads
from pamdp.learning import training
from pamdp.learning.cell import Cell
from pamdp.learning.compiled import CompiledLoop, CompiledPrograms
from pamdp.learning.training import Checkpoint, Point, Training, TrainResult, train
from tests.helpers import after, bytes_of, cell, differing

SHORT = Training(steps=250, report_every=100, evaluation_episodes=20)


@pytest.fixture(scope="module")
def subject() -> Cell:
    """All tests here share its compiled program."""
    n_step = {"steps": 3, "beta": 0.5}
    return cell("mpdqn", "reversal", learner__parameters__output_std=0.1, learner__n_step=n_step)


def trained(subject: Cell, seed: int = 1, path: Path | None = None, stop: int | None = None):
    """Points and result of a training run, None if it was stopped after some points.

    It goes on where the checkpoint at `path` was made, and writes its own there.
    """
    kept = None if path is None else checkpoint.restore(path)
    run, points = train(subject, seed, SHORT, kept), []
    while stop is None or len(points) < stop:
        try:
            event = next(run)
        except StopIteration as end:
            return points, end.value
        if isinstance(event, Point):
            points.append(event)
        elif path is not None:
            checkpoint.save(path, event)
    run.close()
    return points, None


# -- The compiled loop -------------------------------------------------------------------------


def test_chunk_lengths_change_no_bit(subject) -> None:
    whole = after(subject, 1000)
    assert int(whole.learner.step) == 1000
    assert float(whole.learner.statistics.updates) == 1000 - 16 + 1
    assert int(whole.learner.episodes) > 50
    for chunks in ([500] * 2, [250] * 4, [1, 998, 1]):
        state = after(subject, *chunks)
        assert differing(whole.learner, state.learner) == []
        assert differing(whole, state) == []


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(subject) -> None:
    one, again, other = (after(subject, 200, seed=seed) for seed in (1, 1, 2))
    assert bytes_of(one) == bytes_of(again)
    for name in ("replay", "choice"):
        assert name in differing(one.learner, other.learner)
    for name in ("q_network", "x_network"):
        networks = getattr(one.learner, name), getattr(other.learner, name)
        assert differing(*networks) == ["online", "target", "moments"]
    kernels = [state.learner.q_network.online[0][0] for state in (one, other)]
    assert not np.isclose(*kernels).any()


def test_other_floats_need_no_other_compilation(subject) -> None:
    """A trial of other learning rates, discounts, ... runs the program that is there."""
    values = {path: 0.5 * value if value else 0.25 for path, value in floats(subject).items()}
    other = subject.replace(values)
    assert all(floats(other)[path] != value for path, value in floats(subject).items())
    results = [trained(each)[1] for each in (subject, other)]
    assert bytes_of(results[0].weights) != bytes_of(results[1].weights)
    assert CompiledPrograms.of(other) is CompiledPrograms.of(subject)
    assert CompiledPrograms.of(subject).traces["run"] == 1
    assert CompiledPrograms.of(other.forward) is CompiledPrograms.of(subject.forward)
    assert CompiledPrograms.of(subject.forward).traces["evaluate"] == 1


@pytest.mark.parametrize(
    "path", ["task.noise", "learner.gamma", "learner.n_step.beta", "strategy.factor"]
)
def test_floats_reach_the_compiled_program(subject, path) -> None:
    other = subject.replace({path: 0.5 * floats(subject)[path]})
    assert bytes_of(after(other, 120)) != bytes_of(after(subject, 120))


def test_other_structure_is_another_program(subject) -> None:
    programs = {structure(subject)}
    for changes in (
        {"learner__batch_size": 8},
        {"learner__q__hidden": [12, 12]},
        {"learner__gradient_clip": None},
        {"learner__objective": "td"},
        {"learner__n_step": None},
        {"learner__n_step": {"steps": 4, "beta": 0.5}},
        {"learner__n_step": {"steps": 4, "beta": 0.25}},
        {"learner__objective": "indexed", "learner__candidates": 2},
        {"learner__objective": "indexed", "learner__candidates": 3},
    ):
        programs.add(structure(cell("mpdqn", "reversal", **changes)))
    assert len(programs) == 1 + 8


# -- Training ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(subject) -> tuple[list, TrainResult]:
    return trained(subject)


def test_points_come_at_their_steps_with_their_metrics(subject, whole) -> None:
    points, result = whole
    assert [point.step for point in points] == [100, 200, 250]
    assert result.points == points
    assert result.seed == 1
    assert set(points[-1].metrics) == {
        "train/epsilon",
        "train/return",
        "train/length",
        "train/td_loss",
        "train/q_mean",
        "train/clipped_share",
        "train/near_bound_share",
        "eval/return",
        "eval/length",
        "eval/success",
    }
    for point in points:
        assert all(type(value) is float for value in point.metrics.values())
        assert 0 <= point.metrics["eval/return"] <= 1
        assert 1 <= point.metrics["eval/length"] <= 200
    state = after(subject, 250)
    assert bytes_of(result.weights) == bytes_of(
        (state.learner.x_network.target, state.learner.q_network.target)  # `evaluated: target`
    )


def test_metrics_are_means_since_the_last_point(subject, whole) -> None:
    points, _ = whole
    loop, totals = CompiledLoop(subject), []
    state = loop.initial(1)
    for steps in (100, 100):
        state = loop.run(state, steps)
        totals.append(state.learner.statistics)
    episodes = float(totals[1].episodes - totals[0].episodes)
    for name, field in (("train/return", "episode_return"), ("train/length", "episode_length")):
        total = float(getattr(totals[1], field) - getattr(totals[0], field))
        assert points[1].metrics[name] == pytest.approx(total / episodes, rel=1e-4)
    updates = float(totals[1].updates - totals[0].updates)
    assert updates == 100
    loss = float(totals[1].td_loss - totals[0].td_loss)
    assert points[1].metrics["train/td_loss"] == pytest.approx(loss / updates, rel=1e-3)


def test_nothing_is_reported_where_nothing_was_counted(subject) -> None:
    run = train(subject, 1, Training(steps=8, report_every=1, evaluation_episodes=20))
    first = next(event for event in run if isinstance(event, Point))
    assert set(first.metrics) >= {"train/epsilon", "eval/return"}
    assert not set(first.metrics) & {"train/td_loss", "train/q_mean"}


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_run_ends_with_the_same_bytes(
    subject, whole, tmp_path, monkeypatch, stop
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    path = tmp_path / "seed-1.npz"
    points, result = trained(subject, path=path, stop=stop)
    assert (len(points), result) == (stop, None)
    runs = []
    run = CompiledLoop.run
    monkeypatch.setattr(CompiledLoop, "run", lambda *args: runs.append(args[2]) or run(*args))
    points, result = trained(subject, path=path)
    assert runs == [100, 100, 50][stop:]  # what was done is not done again
    assert points == [p._replace(earlier=n < stop) for n, p in enumerate(whole[0])]
    assert result.points == whole[1].points
    assert bytes_of(result.weights) == bytes_of(whole[1].weights)


def test_an_interrupted_run_with_candidates_ends_with_the_same_bytes(tmp_path, monkeypatch) -> None:
    """What was found to be greedy is part of the memory, and so of a checkpoint."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    candidates = cell("epdqn", "reversal", learner__candidates=2, learner__objective="indexed")
    path = tmp_path / "seed-1.npz"
    expected, whole = trained(candidates)
    trained(candidates, path=path, stop=1)
    points, result = trained(candidates, path=path)
    assert [point.earlier for point in points] == [True, False, False]
    assert [point.metrics for point in points] == [point.metrics for point in expected]
    assert bytes_of(result.weights) == bytes_of(whole.weights)
    assert differing(*(after(candidates, *chunks) for chunks in ([250], [100, 100, 50]))) == []


def test_a_damaged_checkpoint_is_no_checkpoint(subject, whole, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    path = tmp_path / "seed-1.npz"
    trained(subject, path=path, stop=2)
    path.write_bytes(path.read_bytes()[:-100])
    points, result = trained(subject, path=path)
    assert points == whole[0]
    assert bytes_of(result.weights) == bytes_of(whole[1].weights)


def test_a_checkpoint_of_another_seed_is_no_checkpoint(subject, whole, monkeypatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    other = next(event for event in train(subject, 2, SHORT) if isinstance(event, Checkpoint))
    again = [event for event in train(subject, 1, SHORT, other) if isinstance(event, Point)]
    assert again == whole[0]


def test_large_checkpoints_are_given_more_rarely() -> None:
    """Each is written to a disk, and travels through a cluster."""
    sizes = (10, 10_000_000, 100_000_000)
    states: list[Any] = [[np.empty(size, np.uint8)] for size in sizes]
    seconds = training.CHECKPOINT_SECONDS
    assert [*map(training.pause_between, states)] == [seconds, seconds, 10 * seconds]


def test_what_a_loop_did_is_given_before_the_point_it_belongs_to(subject, monkeypatch) -> None:
    """So that whoever stops after a point has the checkpoint with it."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    events = list(train(subject, 1, SHORT))
    assert [type(event) for event in events] == [Checkpoint, Point] * 3
    for saved, point in zip(events[::2], events[1::2], strict=True):
        assert saved.points[-1] == [point.step, point.metrics]


def test_seeds_side_by_side_are_the_seeds_one_by_one(subject, whole) -> None:
    with Threads(3) as engine:
        first, _, third = engine.map(train, [(subject, seed, SHORT) for seed in (1, 2, 3)])
    assert bytes_of(first.weights) == bytes_of(whole[1].weights)
    assert first.points == whole[0]
    assert bytes_of(third.weights) == bytes_of(trained(subject, seed=3)[1].weights)


def test_divergence_is_an_error_that_says_where(subject) -> None:
    # Beyond what settings may be: within it hardly anything diverges so soon.
    beyond = {"learner.q.learning_rate": 1e30, "learner.gradient_clip": 1e30}
    wild = with_floats(subject, beyond)
    with pytest.raises(
        TrainingError, match=r"platform-mpdqn-reversal, seed 1, step 100: expected a finite \S+/"
    ):
        trained(wild)


def test_evaluations_are_numbered_and_repeatable(subject) -> None:
    loop = CompiledLoop(subject)
    weights = loop.weights(after(subject, 100))
    one, again, other = (loop.evaluate(weights, 1, number, 20) for number in (7, 7, 8))
    assert bytes_of(one) == bytes_of(again)
    assert bytes_of(one) != bytes_of(other)
    assert bytes_of(loop.evaluate(weights, 2, 7, 20)) != bytes_of(one)
    np.testing.assert_array_equal(one.successes, np.isclose(one.returns, 1, atol=1e-5))

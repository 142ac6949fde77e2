"""Both loops: the same bytes for any chunks, interruptions and threads, and in either loop."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from pamdp import checkpoint, training
from pamdp.engines.threads import interleave
from pamdp.envs.gymnasium import Gymnasium
from pamdp.lazy import tf
from pamdp.loops import CompiledLoop, HostLoop, LoopState, Program, loop_of
from pamdp.settings import Cell, Training
from pamdp.structure import floats, structure
from pamdp.training import TrainingError, TrainResult, train
from tests.helpers import cell, differing

SHORT = Training(steps=250, report_every=100, evaluation_episodes=20)


@pytest.fixture(scope="module")
def subject() -> Cell:
    """All tests here share its compiled program."""
    n_step = {"steps": 3, "beta": 0.5}
    return cell("mpdqn", "reversal", learner__parameters__output_std=0.1, learner__n_step=n_step)


def bytes_of(nest: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in tf.nest.flatten(nest)]


def after(subject: Cell, *chunks: int, seed: int = 1) -> LoopState:
    loop = CompiledLoop(subject)
    state = loop.initial(seed)
    for chunk in chunks:
        state = loop.run(state, chunk)
    return state


def trained(subject: Cell, seed: int = 1, path: Path | None = None, stop: int | None = None):
    """Points and result of a training run, None if it was stopped after some points."""
    run, points = train(subject, seed, SHORT, path), []
    while stop is None or len(points) < stop:
        try:
            points.append(next(run))
        except StopIteration as end:
            return points, end.value
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
    for name in ("q", "x", "target_q", "target_x", "replay", "choice"):
        assert name in differing(one.learner, other.learner)
    assert not np.isclose(one.learner.q[0][0], other.learner.q[0][0]).any()


def test_other_floats_need_no_other_compilation(subject) -> None:
    """A trial of other learning rates, discounts, ... runs the program that is there."""
    values = {path: 0.5 * value if value else 0.25 for path, value in floats(subject).items()}
    other = subject.replace(values)
    assert all(floats(other)[path] != value for path, value in floats(subject).items())
    results = [trained(each)[1] for each in (subject, other)]
    assert bytes_of(results[0].weights) != bytes_of(results[1].weights)
    assert Program.of(other) is Program.of(subject)
    assert Program.of(subject).traces["run"] == 1
    assert Program.of(other.forward) is Program.of(subject.forward)
    assert Program.of(subject.forward).traces["evaluate"] == 1


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
    ):
        programs.add(structure(cell("mpdqn", "reversal", **changes)))
    assert len(programs) == 1 + 6


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
        (state.learner.target_x, state.learner.target_q)  # `evaluated: target`
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
    first = next(train(subject, 1, Training(steps=8, report_every=1, evaluation_episodes=20)))
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


def test_a_damaged_checkpoint_is_no_checkpoint(subject, whole, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    path = tmp_path / "seed-1.npz"
    trained(subject, path=path, stop=2)
    path.write_bytes(path.read_bytes()[:-100])
    points, result = trained(subject, path=path)
    assert points == whole[0]
    assert bytes_of(result.weights) == bytes_of(whole[1].weights)


def test_seeds_side_by_side_are_the_seeds_one_by_one(subject, whole) -> None:
    results: dict[int, TrainResult] = {}

    def task(seed: int):
        results[seed] = yield from train(subject, seed, SHORT)

    list(interleave([task(seed) for seed in (1, 2, 3)], 3))
    assert bytes_of(results[1].weights) == bytes_of(whole[1].weights)
    assert results[1].points == whole[0]
    assert bytes_of(results[3].weights) == bytes_of(trained(subject, seed=3)[1].weights)


def test_divergence_is_an_error_that_says_where(subject) -> None:
    wild = subject.replace({"learner.q.learning_rate": 1e30, "learner.gradient_clip": 1e30})
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


# -- The host loop -----------------------------------------------------------------------------


def on_host(subject: Cell, environment: str = "pamdp/Platform-v0") -> Cell:
    return subject.model_copy(update={"task": Gymnasium(kind="gymnasium", id=environment)})


def test_both_loops_agree_bit_for_bit(subject) -> None:
    """The same environment and seed: all that learning depends on, over episodes and updates.

    Only the books of the scores may differ in the last bit: a compiler may keep more digits of a
    reward that it adds at once than of one that has been a float in between.
    """
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
    traces = host.program.traces
    assert (traces["advance"], traces["answer"]) == (1, 1)


def test_greedy_episodes_agree_between_the_loops(subject) -> None:
    """Without noise an episode is determined by its policy."""
    gymnasium.register(
        "pamdp-tests/Quiet-v0",
        "pamdp.envs.adapter:RegisteredEnv",
        max_episode_steps=200,
        kwargs={"kind": "platform", "noise": 0.0},
    )
    quiet = subject.replace({"task.noise": 0.0})
    compiled, host = CompiledLoop(quiet), HostLoop(on_host(quiet, "pamdp-tests/Quiet-v0"))
    for steps in (20, 400):
        weights = compiled.weights(after(subject, steps))
        a, b = compiled.evaluate(weights, 1, 1, 20), host.evaluate(weights, 1, 1, 2)
        np.testing.assert_allclose(a.returns[:2], b.returns, rtol=1e-4)
        np.testing.assert_array_equal(a.lengths[:2], b.lengths)
        np.testing.assert_array_equal(a.successes[:2], b.successes)
        np.testing.assert_allclose(a.clipped_share, b.clipped_share, rtol=1e-5)
        np.testing.assert_allclose(a.near_bound_share, b.near_bound_share, rtol=1e-5)


def test_evaluations_on_the_host_are_numbered_and_repeatable(subject) -> None:
    host = HostLoop(on_host(subject))
    weights = host.weights(after(subject, 100))
    one, again, other, seed = (
        host.evaluate(weights, *draw, 3) for draw in ((1, 7), (1, 7), (1, 8), (2, 7))
    )
    assert bytes_of(one) == bytes_of(again)
    assert bytes_of(one) != bytes_of(other)
    assert bytes_of(one) != bytes_of(seed)


def test_a_run_on_the_host_starts_anew(subject, tmp_path, monkeypatch) -> None:
    """Its environment is no value that could be saved."""
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "save", None)
    short = Training(steps=20, report_every=10, evaluation_episodes=1)
    points = list(train(on_host(subject), 1, short, tmp_path / "seed-1.npz"))
    assert [point.step for point in points] == [10, 20]
    assert points == list(train(on_host(subject), 1, short))


def test_the_loop_follows_from_the_environment(subject) -> None:
    assert type(loop_of(subject)) is CompiledLoop
    assert type(loop_of(on_host(subject))) is HostLoop
    with pytest.raises(TypeError, match=r"platform-mpdqn-reversal: expected `kind: gymnasium`"):
        HostLoop(subject)
    with pytest.raises(TypeError, match="expected a functional environment"):
        CompiledLoop(on_host(subject)).initial(1)

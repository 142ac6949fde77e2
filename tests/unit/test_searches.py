"""Searches over integers and structure, with each sampler and pruner, and what is stored."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
import pytest

from pamdp.base.errors import SettingsError
from pamdp.engines.threads import Threads
from pamdp.learning.cell import Cell
from pamdp.learning.compiled import CompiledPrograms
from pamdp.learning.training import Point, Training
from pamdp.stages import facts
from pamdp.tuning import scoring
from pamdp.tuning.database import open_database
from pamdp.tuning.importance import importance
from pamdp.tuning.pruners import Wilcoxon
from pamdp.tuning.scoring import Judge
from pamdp.tuning.settings import Tuning
from pamdp.tuning.study import CellStudy
from pamdp.tuning.trials import Report, Trial
from tests.helpers import cell, settings

RATE, FACTOR, BATCH, HIDDEN = (
    "learner.q.learning_rate",
    "strategy.factor",
    "learner.batch_size",
    "learner.q.hidden",
)
EXPLORATION = "learner.exploration"
TRAINING = Training(steps=40, report_every=10, evaluation_episodes=5)
SPACE = [
    {"path": RATE, "low": 1e-4, "high": 1e-1, "log": True},
    {"path": BATCH, "low": 8, "high": 16},
    {"path": HIDDEN, "choices": [[12], [8, 8]]},
    {"path": EXPLORATION, "choices": [{"kind": "uniform"}, {"kind": "ornstein_uhlenbeck"}]},
]
PRUNERS: dict[str, dict[str, Any]] = {
    "median": {"n_startup_trials": 2},
    "percentile": {"n_startup_trials": 2},
    "successive_halving": {"min_resource": 10, "reduction_factor": 2},
    "wilcoxon": {"p_threshold": 0.2},
}
ENQUEUED = {RATE: 0.02, BATCH: 12}


def worth(subject: Cell) -> float:
    learner = subject.learner
    return learner.batch_size / 16 - 10 * abs(learner.q.learning_rate - 0.01)


@pytest.fixture
def trained(monkeypatch) -> list[tuple[Cell, int, int]]:
    """What was trained, point by point, by something that takes no time."""
    done: list[tuple[Cell, int, int]] = []

    def train(subject: Cell, seed: int, training: Training) -> Generator[Point]:
        for step in range(training.report_every, training.steps + 1, training.report_every):
            done.append((subject, seed, step))
            value = worth(subject) * step / training.steps + (seed % 10) * 1e-3
            yield Point(step, {"eval/return": value})

    monkeypatch.setattr(scoring, "train", train)
    return done


@pytest.fixture(scope="module")
def subject() -> Cell:
    return cell("mpdqn", "plain")


def search(subject: Cell, root: Path, **changes: Any) -> CellStudy:
    root.mkdir(exist_ok=True)
    values = {
        "trials": 10,
        "share": 0.5,
        "seeds": [1001, 1002, 1003, 1004, 1005],
        "sampler_seed": 1,
        "lag": 3,
        "space": SPACE,
        "enqueue": [ENQUEUED, {FACTOR: 0.5}],
    }
    return CellStudy(subject, Tuning.model_validate(values | changes), TRAINING, "f", root)


def run(todo: CellStudy, num_workers: int = 1) -> list[Trial]:
    with Threads(num_workers) as engine:
        return [trial._replace(earlier=False) for trial in todo.run(engine)]


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("tpe", "median"),
        ("random", "percentile"),
        ("qmc", "successive_halving"),
        ("cmaes", "wilcoxon"),
    ],
)
def test_a_search_is_the_same_however_it_is_run(
    trained, subject, tmp_path, sampler, pruner
) -> None:
    chosen = {"sampler": {"kind": sampler}, "pruner": {"kind": pruner} | PRUNERS[pruner]}
    expected = run(search(subject, tmp_path / "1", **chosen))
    assert [trial.number for trial in expected] == list(range(10))
    assert any(trial.pruned for trial in expected)
    assert run(search(subject, tmp_path / "2", **chosen), 2) == expected
    assert run(search(subject, tmp_path / "3", **chosen), 3) == expected
    for stop in (1, 4, 8):  # at the last it goes on from three interruptions
        with Threads(2) as engine:
            list(islice(search(subject, tmp_path / "4", **chosen).run(engine), stop))
    assert run(search(subject, tmp_path / "4", **chosen), 3) == expected
    assert run(search(subject, tmp_path / "5", trials=5, **chosen)) == expected[:5]
    begun = len(trained)
    assert run(search(subject, tmp_path / "5", **chosen)) == expected  # it has grown
    most = sum(len(trial.reports) for trial in expected[5:])
    most *= 4 if pruner == "wilcoxon" else 5  # points of a seed, or seeds
    assert len(trained) - begun == most


def test_a_search_with_real_training_is_the_same_however_it_is_run(subject, tmp_path) -> None:
    """The small form of `tests/soak/searches.py`, which kills processes."""
    gamma, starts = "learner.gamma", "learner.learning_starts"
    space = [
        {"path": RATE, "low": 1e-4, "high": 1e-1, "log": True},
        {"path": starts, "low": 16, "high": 17},
        {"path": gamma, "choices": [0.9, 0.5]},
    ]
    pruner = {"kind": "median", "n_startup_trials": 2}
    chosen = {"space": space, "seeds": [1001, 1002], "trials": 6, "pruner": pruner}
    training = Training(steps=200, report_every=50, evaluation_episodes=10)

    def todo(name: str) -> CellStudy:
        point = {gamma: 0.5, starts: 17}
        made = search(subject, tmp_path / name, enqueue=[point], **chosen)
        return replace(made, training=training)

    expected = run(todo("1"))
    assert expected[0].score != expected[1].score
    with Threads(2) as engine:
        list(islice(todo("2").run(engine), 2))
    assert run(todo("2"), 3) == expected
    for trial in expected:  # traced once for all that share it
        assert CompiledPrograms.of(subject.replace(trial.values)).traces["run"] == 1


def test_values_are_those_of_the_space(trained, subject, tmp_path) -> None:
    trials = run(search(subject, tmp_path, trials=20))
    assert trials[0].values == {
        RATE: 1e-3,
        BATCH: 16,
        HIDDEN: [12],
        EXPLORATION: {"kind": "uniform"},
    }
    assert trials[1].values == trials[0].values | ENQUEUED
    for trial in trials[2:]:  # the second point is about no path of this cell
        assert type(trial.values[BATCH]) is int
        assert 8 <= trial.values[BATCH] <= 16
    for path, choices in ((HIDDEN, 2), (EXPLORATION, 2)):
        assert len({str(trial.values[path]) for trial in trials}) == choices
    noise = {"kind": "ornstein_uhlenbeck", "theta": 0.15, "sigma": 1e-4}  # in full
    assert noise in [trial.values[EXPLORATION] for trial in trials]


def test_another_kind_takes_its_defaults() -> None:
    noisy = cell(learner__exploration={"kind": "ornstein_uhlenbeck", "theta": 0.5, "sigma": 0.25})
    kind = "learner.exploration.kind"
    assert noisy.replace({kind: "uniform"}).learner.exploration.kind == "uniform"
    assert noisy.replace({kind: "ornstein_uhlenbeck"}) == noisy
    back = noisy.replace({kind: "uniform"}).replace({kind: "ornstein_uhlenbeck"})
    assert back.learner.exploration.sigma == 1e-4


def suggested(subject: Cell, sampler: str, count: int) -> list[Trial]:
    """The trials of a search that runs one at a time, scored by what they are worth."""
    todo = search(subject, Path(), lag=1, enqueue=[], sampler={"kind": sampler})
    trials: list[Trial] = []
    for number in range(count):
        values = todo.suggest(trials, number)
        trials.append(Trial(number, values, worth(subject.replace(values))))
    return trials


def test_a_quasi_random_search_goes_on_with_its_sequence(subject) -> None:
    trials = suggested(subject, "qmc", 17)
    for path, half in ((RATE, 10**-2.5), (HIDDEN, [10])):
        below = sum(trial.values[path] < half for trial in trials[1:])
        assert 7 <= below <= 9, path  # as even as numbers drawn at random hardly are
    assert len({trial.values[RATE] for trial in trials}) == 17


def test_a_strategy_of_evolution_adapts(subject) -> None:
    scores = [trial.score or 0.0 for trial in suggested(subject, "cmaes", 60)]
    assert sum(scores[-15:]) > sum(scores[1:16])


def test_importance_names_what_mattered(subject) -> None:
    trials = suggested(subject, "random", 40)
    parameters = search(subject, Path()).parameters
    found = importance(parameters, trials)
    assert max(found, key=lambda path: found[path]) == BATCH
    assert sum(found.values()) == pytest.approx(1)
    assert importance(parameters, trials[:7]) == {}


def test_a_trial_that_is_given_up_costs_no_more(trained, subject, tmp_path) -> None:
    pruner = {"kind": "median", "n_startup_trials": 2}
    trials = run(search(subject, tmp_path, pruner=pruner, seeds=[1001]))
    pruned = [trial for trial in trials if trial.pruned]
    assert pruned
    assert all(trial.score is None and len(trial.reports) < 4 for trial in pruned)
    assert len(trained) == sum(len(trial.reports) for trial in trials)
    stored = {
        t.user_attrs["number"]: t for t in open_database(tmp_path, f"{subject.name}-f").trials
    }
    for trial in trials:
        assert stored[trial.number].state.name == trial.state.upper().replace("FAILED", "FAIL")
        assert stored[trial.number].intermediate_values == dict(trial.reports)


def test_the_trial_of_the_settings_is_used(trained, subject, tmp_path) -> None:
    todo = search(subject, tmp_path, trials=4, use_trial=1)
    trials = run(todo)
    assert todo.used(trials) == trials[1]
    assert search(subject, tmp_path, trials=4).used(trials) == todo.best(trials) != trials[1]


def test_a_trial_without_a_score_is_not_used(subject) -> None:
    todo = search(subject, Path(), use_trial=1)
    trials = [Trial(0, {}, 1.0), Trial(1, {}, None, pruned=True)]
    said = r"tuning.cells.platform-mpdqn-plain.use_trial: .* received 1, which was given up"
    with pytest.raises(SettingsError, match=said):
        todo.used(trials)
    with pytest.raises(SettingsError, match="received 1, which diverged"):
        todo.used([trials[0], trials[1]._replace(pruned=False)])


def test_where_nothing_is_tuned_one_trial_is_run(trained, subject, tmp_path) -> None:
    space = [{"path": FACTOR, "low": 0.0, "high": 1.0}]  # which the cell does not have
    todo = search(subject, tmp_path, space=space, enqueue=[{FACTOR: 0.5}])
    assert [(trial.number, trial.values) for trial in run(todo)] == [(0, {})]
    assert todo.missing == 0
    assert search(subject, tmp_path, space=space, trials=0).missing == 0


@pytest.mark.parametrize("threshold", [0.3, 0.125, 0.1, 0.03])
def test_a_trial_can_be_given_up_by_the_least_number_of_seeds_and_by_none_fewer(threshold) -> None:
    pruner = Wilcoxon(kind="wilcoxon", p_threshold=threshold)
    best = Trial(0, {}, 1.0, reports=tuple(Report(seed, 1.0 + seed) for seed in range(20)))
    judged = Judge(pruner, (best,)).judged()
    next(judged)
    given_up = [judged.send(Report(seed, -100.0 * seed)) for seed in range(pruner.least_seeds)]
    assert given_up == [*[False] * (pruner.least_seeds - 1), True]


def test_values_that_do_not_go_together_are_named(trained, tmp_path, monkeypatch) -> None:
    todo = search(cell("mpdqn", "plain"), tmp_path)
    monkeypatch.setattr(CellStudy, "suggest", lambda *_: {"learner.gamma": 2.0})
    with pytest.raises(SettingsError, match=r"tuning.space: .* in trial 0 of platform-mpdqn-plain"):
        run(todo)


def test_what_is_under_way_can_be_watched(trained, subject, tmp_path) -> None:
    todo = search(subject, tmp_path, lag=2, enqueue=[])
    with Threads(1) as engine:
        list(islice(todo.run(engine), 2))
    shown = open_database(tmp_path, f"{subject.name}-f")
    assert shown.user_attrs["cell"] == "platform-mpdqn-plain"
    states = [trial.state.name for trial in shown.trials]
    assert states == ["COMPLETE", "COMPLETE", "RUNNING"]
    first, last = shown.trials[0], shown.trials[-1]
    assert first.intermediate_values.keys() == {10, 20, 30, 40}
    assert first.datetime_start < first.datetime_complete
    assert first.user_attrs["seeds"] == [1001, 1002, 1003, 1004, 1005]
    assert first.params[HIDDEN] == "[12]"
    assert last.user_attrs["number"] == 2
    assert last.datetime_complete is None
    run(search(subject, tmp_path, lag=2, enqueue=[]))
    interrupted = open_database(tmp_path, f"{subject.name}-f").trials[2]
    assert (interrupted.state.name, interrupted.user_attrs["interrupted"]) == ("FAIL", True)


def test_pruners_and_samplers_are_optunas() -> None:
    tuning = search(cell("mpdqn", "plain"), Path("."), sampler={"kind": "tpe"}).tuning
    assert isinstance(tuning.sampler.sampler(1, 2), optuna.samplers.TPESampler)
    assert isinstance(tuning.pruner.pruner(), optuna.pruners.NopPruner)


def test_setup_names_the_package_that_a_sampler_needs(monkeypatch) -> None:
    def version(name: str) -> str:
        if name == "torch":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(facts, "version", version)
    for kind, packages in (("tpe", {}), ("cmaes", {"cmaes": "1.0"})):
        tuning = settings(tuning__sampler={"kind": kind}).tuning
        assert facts.search_settings(tuning)["versions"] == packages
    with pytest.raises(SettingsError, match=r"tuning: expected the package torch.*pip install tor"):
        facts.settings_of(settings(tuning__sampler={"kind": "gp"}))

"""Studies: the same for any number of workers and after any interruption."""

import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pamdp.base.component import floats
from pamdp.base.errors import TrainingError
from pamdp.engines import Engine
from pamdp.engines.base import News, steps
from pamdp.engines.threads import Threads
from pamdp.learning.cell import Cell
from pamdp.learning.training import Checkpoint, Point, Training
from pamdp.tuning import scoring as tuning_module
from pamdp.tuning.database import open_database
from pamdp.tuning.settings import Range, Tuning
from pamdp.tuning.study import CellStudy
from pamdp.tuning.trials import Trial
from tests.helpers import cell

RATE, FACTOR = "learner.q.learning_rate", "strategy.factor"
TRAINING = Training(steps=30, report_every=10, evaluation_episodes=5)
SPACE = (
    Range(path=RATE, low=1e-4, high=1e-1, log=True),
    Range(path=FACTOR, low=0.0, high=1.0),
    Range(path="strategy.threshold", low=-1.0, high=0.0),  # which the cell does not have
)


def worth(values: dict[str, float], seed: int) -> float:
    """Best at a rate of 1e-2 and a factor of 0.5."""
    return 1 - abs(values[RATE] - 1e-2) * 10 - abs(values[FACTOR] - 0.5) + seed * 1e-6


class Stub:
    """Stands for `train`: yields three points, at once or after a time that varies."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int]] = []
        self.diverging: tuple[int, ...] = ()
        self.broken_after: int | None = None
        self.lock = threading.Condition()
        self.wanted = 0  # how many have to run at a time before the first goes on
        self.running = self.most = 0
        self.seconds = 0.002

    def __call__(
        self, cell: Cell, seed: int, training: Any
    ) -> Generator[Point | Checkpoint, None, None]:
        values = floats(cell)
        assert training == TRAINING  # the study's own, as long as a trial is
        with self.lock:
            number = len(self.calls)
            self.calls.append((values[RATE], seed))
            self.running += 1
            self.most = max(self.most, self.running)
            self.lock.notify_all()
            self.lock.wait_for(lambda: self.most >= self.wanted, timeout=60)
        try:
            if number == self.broken_after:
                raise Stopped
            if number in self.diverging:
                raise TrainingError("diverged")
            time.sleep(self.seconds * (number * 7 % 5))
        finally:  # between points a worker does something else
            with self.lock:
                self.running -= 1
        yield Checkpoint([], [])
        for step, offset in ((1, -100.0), (2, -0.25), (3, 0.25)):
            yield Point(step, {"eval/return": worth(values, seed) + offset})


class Stopped(Exception):
    """Ends a run at once."""


class OneByOne(Engine):
    """Does each task as it comes, so that what has been done at any time is known."""

    def __init__(self) -> None:
        super().__init__(1)

    def _start(self, number: int, task: Any, arguments: tuple) -> None:
        generator = steps(task, arguments)
        try:
            while True:
                next(generator)
        except StopIteration as end:
            self._news.put(News(number, "result", end.value))
        except BaseException as error:
            self._news.put(News(number, "error", error))

    def _stop(self) -> None:
        pass


@pytest.fixture
def stub(monkeypatch) -> Stub:
    stub = Stub()
    monkeypatch.setattr(tuning_module, "train", stub)
    return stub


@pytest.fixture(scope="module")
def subject() -> Cell:
    return cell("mpdqn", "reversal")


def study(subject: Cell, root: Path, **changes: Any) -> CellStudy:
    values = {
        "trials": 8,
        "share": 0.5,
        "seeds": [1001],
        "sampler_seed": 1,
        "lag": 4,
        "space": SPACE,
    }
    return CellStudy(subject, Tuning.model_validate(values | changes), TRAINING, "f1", root)


def run(todo: CellStudy, num_workers: int = 1) -> list[Trial]:
    """All trials of a study."""
    with Threads(num_workers) as engine:
        return list(todo.run(engine))


def earlier(trials: list[Trial], count: int) -> list[Trial]:
    """The same, of which an earlier run had finished some."""
    return [trial._replace(earlier=trial.number < count) for trial in trials]


def test_trials_are_the_same_for_any_number_of_workers(stub, subject, tmp_path) -> None:
    runs = []
    for num_workers in (1, 2, 4):
        stub.running, stub.most, stub.wanted = 0, 0, num_workers
        (root := tmp_path / str(num_workers)).mkdir()
        runs.append(run(study(subject, root), num_workers))
        assert stub.most == num_workers
    assert [trial.number for trial in runs[0]] == list(range(8))
    assert runs[0] == runs[1] == runs[2]
    assert len({trial.values[RATE] for trial in runs[0]}) == 8


@pytest.mark.parametrize("stop", [0, 1, 5, 7])
def test_an_interrupted_study_goes_on_as_if_it_had_not_been(stub, subject, tmp_path, stop) -> None:
    (tmp_path / "whole").mkdir()
    whole = run(study(subject, tmp_path / "whole"), 2)
    with Threads(2) as engine:
        first = study(subject, tmp_path).run(engine)
        for _ in range(stop):
            next(first)
    assert study(subject, tmp_path).missing == 8 - stop
    begun = len(stub.calls)
    assert run(study(subject, tmp_path)) == earlier(whole, stop)
    assert len(stub.calls) == begun + 8 - stop  # what was told is not run again
    assert run(study(subject, tmp_path), 3) == earlier(whole, 8)
    assert len(stub.calls) == begun + 8 - stop


def test_trials_are_known_by_their_own_number(stub, subject, tmp_path) -> None:
    """And not by the place at which they arrive: some may have been told twice."""
    whole = run(study(subject, tmp_path))
    twice = study(subject, tmp_path / "twice")
    (tmp_path / "twice").mkdir()
    for number, score in ((0, None), (1, None), (1, 9.0), (0, 9.0), (2, None), (4, None)):
        trial = whole[number]._replace(score=score if score else whole[number].score)
        twice.ledger.tell(twice.ledger.begin(trial), trial)
    assert twice.missing == 5  # trial 3 is not there, and what follows it was suggested with it
    assert run(twice) == earlier(whole, 3)


@pytest.mark.parametrize("num_workers", [None, 1, 3])
def test_an_interruption_within_a_trial_loses_only_what_was_running(
    stub, subject, tmp_path, num_workers
) -> None:
    (tmp_path / "whole").mkdir()
    whole = run(study(subject, tmp_path / "whole"))
    stub.calls.clear()
    stub.broken_after = 5
    seen: list[Trial] = []
    engine = Threads(num_workers) if num_workers else OneByOne()
    with pytest.raises(Stopped), engine:
        seen.extend(study(subject, tmp_path).run(engine))
    stub.broken_after = None
    # Of those that take turns, as many as the lag are running.
    assert len(seen) == 5 if num_workers is None else 1 < len(seen) <= 5
    assert run(study(subject, tmp_path), 2) == earlier(whole, len(seen))


def test_trial_0_is_the_settings_as_they_stand(stub, subject, tmp_path) -> None:
    first = run(study(subject, tmp_path))[0]
    assert first.values == {RATE: 1e-3, FACTOR: 0.1}
    assert stub.calls[0] == (1e-3, 1001)


def test_values_lie_in_their_ranges_and_only_where_the_cell_has_them(
    stub, subject, tmp_path
) -> None:
    trials = run(study(subject, tmp_path, trials=20), 2)
    for trial in trials:
        assert set(trial.values) == {RATE, FACTOR}
        assert 1e-4 <= trial.values[RATE] <= 1e-1
        assert 0 <= trial.values[FACTOR] <= 1
    assert min(trial.values[RATE] for trial in trials) < 1e-3 < 1e-2
    assert max(trial.values[RATE] for trial in trials) > 1e-2


def test_a_trial_is_suggested_from_those_told_and_from_no_others(stub, subject, tmp_path) -> None:
    """Other scores of trials 0 to n - lag give another trial n; later ones do not matter."""
    known = run(study(subject, tmp_path))
    suggest = study(subject, tmp_path).suggest
    upside_down = [trial._replace(score=-(trial.score or 0.0)) for trial in known]
    assert suggest(known[:4], 7) == known[7].values
    assert suggest(upside_down[:4], 7) != known[7].values
    assert suggest(known[:3], 6) == known[6].values
    assert suggest(known[:4], 6) != known[6].values


def test_the_model_of_the_sampler_learns(stub, subject, tmp_path) -> None:
    trials = run(study(subject, tmp_path, trials=30, lag=1))
    early, late = ([t.score or -10.0 for t in part] for part in (trials[1:11], trials[20:]))
    assert sum(late) / len(late) > sum(early) / len(early)


def test_another_sampler_seed_gives_another_study(stub, subject, tmp_path) -> None:
    runs = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        trials = run(study(subject, tmp_path / str(seed), sampler_seed=seed))
        runs.append([trial.values[RATE] for trial in trials])
    assert runs[0][0] == runs[1][0]  # the settings as they stand
    assert not set(runs[0][1:]) & set(runs[1][1:])


def test_a_score_is_the_mean_of_the_last_points_and_of_the_seeds(stub, subject, tmp_path) -> None:
    trial = run(study(subject, tmp_path, seeds=[1001, 1003]))[0]
    expected = sum(worth(trial.values, seed) for seed in (1001, 1003)) / 2
    assert trial.score == pytest.approx(expected, rel=1e-9)
    own = [seed for rate, seed in stub.calls if rate == trial.values[RATE]]
    assert own == [1001, 1003]


def test_a_trial_that_diverges_fails_and_is_not_the_best(stub, subject, tmp_path) -> None:
    stub.diverging = (0, 3)
    todo = study(subject, tmp_path)
    trials = run(todo)
    assert [trial.number for trial in trials if trial.score is None] == [0, 3]
    best = todo.best(trials)
    assert best is not None
    assert best.score == max(trial.score for trial in trials if trial.score is not None)
    database = open_database(tmp_path, f"{subject.name}-f1")
    assert [trial.state.name for trial in database.trials] == [
        "FAIL" if number in (0, 3) else "COMPLETE" for number in range(8)
    ]
    assert run(study(subject, tmp_path)) == earlier(trials, 8)  # read back


def test_if_all_diverge_there_is_no_best(stub, subject, tmp_path) -> None:
    stub.diverging = tuple(range(4))
    todo = study(subject, tmp_path, trials=4)
    assert todo.best(run(todo, 2)) is None


def test_best_is_the_first_of_equals(subject, tmp_path) -> None:
    best = study(subject, tmp_path).best
    trials = [
        Trial(number, {}, value) for number, value in enumerate([0.5, None, 0.9, 0.9, -1.0, 0.9])
    ]
    assert best(trials) == trials[2]
    assert best(trials[:2]) == trials[0]
    assert best([]) is None


def test_an_error_of_the_code_is_not_a_failed_trial(stub, subject, tmp_path, monkeypatch) -> None:
    def broken(*_: Any) -> Iterator[Point]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(tuning_module, "train", broken)
    with pytest.raises(ZeroDivisionError):
        run(study(subject, tmp_path))


def test_no_trials(stub, subject, tmp_path) -> None:
    todo = study(subject, tmp_path, trials=0)
    assert run(todo, 2) == []
    assert todo.best([]) is None
    assert stub.calls == []


def test_studies_of_other_settings_are_other_studies(stub, subject, tmp_path) -> None:
    first = study(subject, tmp_path, trials=2)
    run(first)
    other = CellStudy(subject, first.tuning, TRAINING, "f2", tmp_path)
    stub.calls.clear()
    run(other)
    assert len(stub.calls) == 2
    assert (tmp_path / "optuna.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".work", "optuna.db"]


def test_the_dashboard_sees_values_and_scores(stub, subject, tmp_path) -> None:
    trials = run(study(subject, tmp_path, trials=3))
    shown = open_database(tmp_path, f"{subject.name}-f1").trials
    assert [SimpleNamespace(n=t.number, p=t.params, v=t.value) for t in shown] == [
        SimpleNamespace(n=t.number, p=t.values, v=t.score) for t in trials
    ]

"""What the stages after training write."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pamdp import export as model
from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import read_json, write_json
from pamdp.learning.cell import Cell
from pamdp.learning.policy import Weights
from pamdp.learning.rollout import Episodes
from pamdp.learning.scaling import Observed
from pamdp.settings import Settings
from pamdp.stages import evaluate, export, report, results, train
from tests.helpers import cell, params
from tests.unit import tasks
from tests.unit.two_cells import INVERTING, PLAIN, curve, found, looked_at, small


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.setenv("PAMDP_WORKERS", "1")


LEVELS = {PLAIN: 0.2, INVERTING: 0.6}


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Evaluates a study whose greedy episodes are invented; returns the summary, comparisons."""
    monkeypatch.setenv("PAMDP_TRACKING", "off")

    def played(checkout: Checkout, cells: Sequence[Cell]) -> Iterator[dict[int, Episodes]]:
        yield from (cell_played(checkout, cell) for cell in cells)

    def cell_played(checkout: Checkout, cell: Cell) -> dict[int, Episodes]:
        played = {}
        for seed in checkout.settings.study.seeds:
            draws = np.random.default_rng(seed).random(50) / 10
            shares = {"clipped_share": 0.25 * seed, "near_bound_share": 0.5, "tries": 2.0 * seed}
            level = LEVELS[str(cell.name)]
            played[seed] = Episodes(level + draws, np.full(50, 7), draws > 0.05, shares)
        return played

    monkeypatch.setattr(evaluate, "played", played)
    facts = {"random_policy": {"return_mean": 0.15}}
    write_json(tmp_path / "metrics" / "setup" / "environments" / "platform.json", facts)

    def run(values: Settings) -> tuple[dict, dict]:
        checkout = looked_at(values, tmp_path)
        for each in values.cells:
            parent = results.record(each, "train", "f")
            record = train.training_run(parent, {1: curve(0.95), 2: curve(0.1)})
            record.write(checkout.train(each.name) / "record.json")
        evaluate.evaluate_study(checkout)
        folder = tmp_path / "metrics" / "evaluate"
        return read_json(folder / "summary.json"), read_json(folder / "comparisons.json")

    return run


def test_the_evaluation_summarises_each_cell(evaluated, tmp_path):
    summary, comparisons = evaluated(small())
    assert set(summary) == {PLAIN, INVERTING}
    plain = summary[PLAIN]
    means = [0.2 + np.random.default_rng(seed).random(50).mean() / 10 for seed in (1, 2)]
    assert [entry["mean"] for entry in plain["per_seed"]] == pytest.approx(means)
    assert plain["clipped_share"] == pytest.approx(0.375)  # of 0.25 and 0.5
    assert plain["near_bound_share"] == 0.5
    assert plain["length"]["mean"] == 7
    assert plain["random_policy"] == {"mean": 0.15}
    assert plain["initial_parameters"] == "none"
    assert plain["steps_to_return"]["per_seed"] == [10, None]
    easier, _ = evaluated(small(environments__platform__return_threshold=0.1))
    assert easier[PLAIN]["steps_to_return"]["per_seed"] == [10, 10]
    (compared,) = comparisons
    assert (compared["cell"], compared["reference"]) == (PLAIN, INVERTING)
    assert compared["probability"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert compared["difference"]["value"] == pytest.approx(-0.4)
    assert (compared["p"], compared["verdict"]) == (pytest.approx(1 / 3), "not told apart")
    _, other = evaluated(small(comparisons__measures=["above_threshold", "area_under_curve"]))
    assert [each["measure"] for each in other] == ["above_threshold", "area_under_curve"]
    with np.load(tmp_path / "metrics" / "evaluate" / "episodes.npz") as archive:
        assert archive[PLAIN].shape == (2, 50)
        assert archive[PLAIN].dtype == np.float32


def test_the_summary_of_a_cell_depends_on_no_other_cell(evaluated):
    both, _ = evaluated(small())
    alone, comparisons = evaluated(small(study__strategies=["inverting"]))
    assert alone == {INVERTING: both[INVERTING]}
    assert comparisons == []


def test_a_new_measure_enters_the_summary(evaluated, monkeypatch):
    before, _ = evaluated(small())
    assert "tries" not in before[PLAIN]
    monkeypatch.setattr(evaluate, "MEASURES", {**evaluate.MEASURES, "tries": None})
    after, _ = evaluated(small())
    for name in (PLAIN, INVERTING):
        assert after[name] == before[name] | {"tries": 3.0}  # of 2 and 4


def test_seeds_of_all_cells_are_evaluated_side_by_side(tmp_path, monkeypatch):
    def meeting(cell: Cell, leaves: int, *_: Any) -> int:
        return tasks.meet(tmp_path, f"{cell.name}-{leaves}", 4)

    monkeypatch.setenv("PAMDP_WORKERS", "8")
    monkeypatch.setattr(evaluate, "tuned", lambda _, cell: cell)
    monkeypatch.setattr(evaluate, "saved", lambda *_: {1: 1, 2: 2})
    monkeypatch.setattr(evaluate, "_evaluate", meeting)
    checkout = Checkout(small(), tmp_path)
    found = evaluate.played(checkout, checkout.settings.cells)
    assert [*found] == [{1: 4, 2: 4}, {1: 4, 2: 4}]


def test_cells_are_read_as_workers_have_use_for_them(tmp_path, monkeypatch):
    """So memory does not hold the weights of all cells of a large study."""
    read: list[str] = []

    def saved(_: Checkout, cell: Cell) -> dict[int, str]:
        read.append(cell.name.strategy)
        return {1: "one", 2: "two"}

    monkeypatch.setattr(evaluate, "tuned", lambda _, cell: cell)
    monkeypatch.setattr(evaluate, "saved", saved)
    monkeypatch.setattr(evaluate, "_evaluate", lambda cell, leaves, *_: (cell.name[2], leaves))
    names = ["plain", "inverting", "reversal", "zeroing"]
    checkout = Checkout(small(study__strategies=names), tmp_path)
    with closing(evaluate.played(checkout, checkout.settings.cells)) as found:
        for number, name in enumerate(names):
            assert next(found) == {1: (name, "one"), 2: (name, "two")}
            assert read == names[: number + 2]  # with one worker


def summary_of(*means: float) -> dict[str, Any]:
    entries = [{"seed": n + 1, "mean": mean, "std": 0.25} for n, mean in enumerate(means)]
    return {"return": {"mean": float(np.mean(means))}, "per_seed": entries}


def test_each_environment_has_a_film_of_its_best(tmp_path, monkeypatch):
    values = params()
    values["environments"]["other"] = values["environments"]["platform"]
    few = {"algorithms": ["mpdqn"], "strategies": ["plain", "inverting"]}
    values["study"] |= few | {"environments": ["platform", "other"]}
    names = [f"{e}-mpdqn-{s}" for e in ("platform", "other") for s in ("plain", "inverting")]
    means = dict(zip(names, (0.5, 0.9, 30.0, 20.0), strict=True))
    summary = {name: summary_of(mean, mean - 0.1) for name, mean in means.items()}
    write_json(tmp_path / "metrics" / "evaluate" / "summary.json", summary)
    for name in names:
        found(tmp_path, name, {})
    checkout = looked_at(Settings.model_validate(values), tmp_path)
    filmed: list[tuple[str, str, int, str]] = []

    def film(cell: Cell, weights: str, seed: int, path: Path) -> None:
        filmed.append((str(cell.name), weights, seed, path.name))

    monkeypatch.setattr(report, "film", film)
    monkeypatch.setattr(report, "trained", lambda _, cell: {1: f"of {cell.name}", 2: "no"})
    report.film_best(checkout)
    best = ("platform-mpdqn-inverting", "other-mpdqn-plain")
    assert filmed == [(name, f"of {name}", 1, f"{name.split('-')[0]}-best.gif") for name in best]


def test_the_film_is_of_the_best_seed_of_the_best_cell(tmp_path, monkeypatch):
    means = {PLAIN: summary_of(0.1, 0.9), INVERTING: summary_of(0.5, 0.8, 0.7)}
    write_json(tmp_path / "metrics" / "evaluate" / "summary.json", means)
    found(tmp_path, INVERTING, {"learner.gamma": 0.5})
    filmed: list[tuple] = []
    monkeypatch.setattr(report, "film", lambda *arguments: filmed.append(arguments))
    monkeypatch.setattr(report, "trained", lambda *_: {1: "one", 2: "two", 3: "three"})
    report.film_best(looked_at(small(), tmp_path))
    ((shown, weights, seed, path),) = filmed
    assert (str(shown.name), shown.learner.gamma, weights, seed) == (INVERTING, 0.5, "two", 2)
    assert path == tmp_path / "metrics" / "report" / "platform-best.gif"


def test_the_exported_seed_is_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "saved", lambda *_: {1: "one", 2: "two", 3: "three"})
    found(tmp_path, PLAIN, {"learner.gamma": 0.5})
    record = results.record(cell("mpdqn", "plain"), "train", "f")
    record.write(tmp_path / "metrics" / "train" / PLAIN / "record.json")
    summary = summary_of(0.1, 0.9, 0.9)
    job = export._job(Checkout(small(), tmp_path), cell("mpdqn", "plain"), summary)
    assert (job.seed, job.leaves) == (2, "two")  # the first of equals
    assert job.evaluated is summary["per_seed"][1]
    assert job.cell.learner.gamma == 0.5  # as it was tuned
    assert job.folder == tmp_path / "models" / PLAIN
    assert job.training == "f"


def test_the_observations_lie_within_the_bounds():
    trained = cell()
    rows = model.observations(trained, Weights((), (), ()))
    low, high = trained.task.observation_low, trained.task.observation_high
    assert rows.dtype == np.float32
    assert rows.shape == (1000, 9)
    assert ((rows >= low) & (rows <= high)).all()
    np.testing.assert_allclose(rows.mean(axis=0), (low + high) / 2, atol=0.05)


def test_observations_without_bounds_are_those_that_training_met_with():
    task = SimpleNamespace(
        observation_low=np.array([0, -np.inf, 1], np.float32),
        observation_high=np.array([2, np.inf, np.inf], np.float32),
        observation_offset=None,
    )
    # Means 5 and spreads 2: up to 6 on both sides of the mean, or from the bound there is.
    observed = Observed(*np.array([[4.0] * 3, [5.0] * 3, [16.0] * 3], np.float32))
    subject: Any = SimpleNamespace(task=task)
    rows = model.observations(subject, Weights((), (), observed))
    assert (rows.dtype, rows.shape) == (np.float32, (1000, 3))
    np.testing.assert_allclose(rows.min(axis=0), [0, -1, 1], atol=0.1)
    np.testing.assert_allclose(rows.max(axis=0), [2, 11, 11], atol=0.1)


def test_a_model_card_says_what_the_model_is_and_how_it_was_checked(tmp_path):
    values = small(environments__platform__initial_parameters={"bias": [3.0, 10.0, 400.0]})
    trained = values.cell(INVERTING).replace({"learner.q.learning_rate": 0.00123})
    best = {"mean": 0.98765, "std": None}
    job = export.Job(trained, 2, [], tmp_path / INVERTING, best, "f")
    played = Episodes(np.array([1.0, 0.5]), np.array([7.0, 8.0]), np.ones(2), {})
    export._describe(Checkout(values, tmp_path), job, 2.34e-7, played)
    card = (tmp_path / INVERTING / "README.md").read_text()
    for text in (
        f"# {INVERTING}\n",
        "seed 2, the best of 2, 40,000 environment steps",
        "hand-set initial parameters: hand-set",
        "Mean greedy return 0.9877, standard deviation over episodes 0.0000 (1,000 episodes)",
        f'tf.saved_model.load("models/{INVERTING}")',
        "np.zeros([1, 9], np.float32)",
        "| input | `observation` | float32 | [-1, 9] |",
        "| 2 | leap | [0.0] | [430.0] |",
        "(to 0.0001 of the largest value), on each of 1,000\nobservations",
        "was 2.3e-07\nof its range. So it did each of the 15 times that it acted",
        "earned a mean return of 0.7500.",
        "- `learner.q.learning_rate`: 0.00123\n",
    ):
        assert text in card, text
    assert "{" not in card
    signature = read_json(tmp_path / INVERTING / "signature.json")
    assert signature["inputs"] == [["observation", "float32", [-1, 9]]]
    assert read_json(tmp_path / INVERTING / "training.json") == {"fingerprint": "f"}
    assert "drives" not in card


WIDE = {
    "kind": "gymnasium",
    "id": "tests.user_environment:Wide-v0",
    "parameters": {3: ["push"], 4: []},
}
SEEN = {"low": [0.0, 0.0, 1.7e9 - 1], "high": [2.0, 5.0, 1.7e9 + 0.9]}


def test_a_card_of_a_users_environment_says_what_its_actions_drive(tmp_path):
    values = small(environments__platform__task=WIDE | {"seen": SEEN})
    best = {"mean": 1, "std": 0}
    job = export.Job(values.cells[0], 2, [], tmp_path / PLAIN, best, "f")
    played = Episodes(np.ones(1), np.ones(1), np.ones(1), {})
    export._describe(Checkout(values, tmp_path), job, 0.0, played)
    card = (tmp_path / PLAIN / "README.md").read_text()
    for text in (
        "np.zeros([1, 3], np.float64)",
        "| input | `observation` | float64 | [-1, 3] |",
        "| 0 | push | [-1.0] | [1.0] |",
        "\n\n| action | its number in the environment | boxes that it drives there |\n",
        "\n| 0 | 3 | `push` |\n| 1 | 4 |  |\n\n## Checks",
        '`task.parameters`: {"3": ["push"], "4": []}',
    ):
        assert text in card, text
    assert "task.seen" not in card  # it is measured, and as long as an observation


def test_stages_know_what_setup_has_measured(tmp_path):
    values = small(environments__platform__task=WIDE)
    with pytest.raises(PamdpError, match=r"platform\.json: expected what `setup` writes"):
        results.cells(Checkout(values, tmp_path))
    checkout = looked_at(values, tmp_path)
    path = tmp_path / "metrics" / "setup" / "environments" / "platform.json"
    write_json(path, {"random_policy": {}, "seen": SEEN})
    cells = [*results.cells(checkout), results.cell_of(checkout, PLAIN)]
    assert [str(each.name) for each in cells] == [PLAIN, INVERTING, PLAIN]
    for each in cells:
        assert json.loads(each.task.seen) == SEEN
        assert each.task.observation_offset[2] == 1.7e9 - 0.05
    # Of ours there is nothing to know, and nothing is read.
    assert results.cells(looked_at(small(), tmp_path / "none")) == list(small().cells)

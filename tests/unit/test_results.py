"""What the stages after training write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamdp.evaluation import Episodes
from pamdp.records import read_json, write_json
from pamdp.settings import Settings
from pamdp.stages import models, runs, study
from tests.helpers import cell
from tests.unit.two_cells import INVERTING, PLAIN, curve, found, small


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.setenv("PAMDP_WORKERS", "1")


LEVELS = {PLAIN: 0.2, INVERTING: 0.6}


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Evaluates a study whose greedy episodes are invented; returns the summary, comparisons."""
    monkeypatch.setattr(study, "track", lambda settings, root: None)

    def evaluate_cell(values: Settings, name: str, root: Path) -> dict[int, Episodes]:
        draws = {seed: np.random.default_rng(seed).random(50) / 10 for seed in values.study.seeds}
        return {
            seed: Episodes(LEVELS[name] + r, np.full(50, 7), r > 0.05, 0.25 * seed, 0.5)
            for seed, r in draws.items()
        }

    monkeypatch.setattr(study, "evaluate_cell", evaluate_cell)
    facts = {"platform": {"random_policy": {"return_mean": 0.15}}}
    write_json(tmp_path / "metrics" / "setup" / "environments.json", facts)

    def run(values: Settings) -> tuple[dict, dict]:
        for each in values.cells:
            record = runs.training_run(each, values.training, "f", {1: curve(0.95), 2: curve(0.1)})
            record.write(tmp_path / "metrics" / "train" / each.name / "record.json")
        study.evaluate_study(values, tmp_path)
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
    assert plain["steps_to_return"]["per_seed"] == [10, None]
    assert comparisons[INVERTING]["over_plain"]["probability"] == 1.0
    assert comparisons[PLAIN]["over_inverting"]["probability"] == 0.0
    with np.load(tmp_path / "metrics" / "evaluate" / "episodes.npz") as archive:
        assert archive[PLAIN].shape == (2, 50)
        assert archive[PLAIN].dtype == np.float32


def test_the_summary_of_a_cell_depends_on_no_other_cell(evaluated):
    both, _ = evaluated(small())
    alone, comparisons = evaluated(small(study__strategies=["inverting"]))
    assert alone == {INVERTING: both[INVERTING]}
    assert comparisons[INVERTING]["over_plain"] is None


def summary_of(*means: float) -> dict[str, Any]:
    entries = [{"seed": n + 1, "mean": mean, "std": 0.25} for n, mean in enumerate(means)]
    return {"return": {"mean": float(np.mean(means))}, "per_seed": entries}


def test_the_film_is_of_the_best_seed_of_the_best_cell(tmp_path, monkeypatch):
    means = {PLAIN: summary_of(0.1, 0.9), INVERTING: summary_of(0.5, 0.8, 0.7)}
    write_json(tmp_path / "metrics" / "evaluate" / "summary.json", means)
    found(tmp_path, INVERTING, {"learner.gamma": 0.5})
    filmed: list[tuple] = []
    monkeypatch.setattr(study, "film", lambda *arguments: filmed.append(arguments))
    monkeypatch.setattr(study, "trained", lambda cell, root: {1: "one", 2: "two", 3: "three"})
    study.film_best(small(), tmp_path)
    ((shown, weights, seed, path),) = filmed
    assert (shown.name, shown.learner.gamma, weights, seed) == (INVERTING, 0.5, "two", 2)
    assert path == tmp_path / "metrics" / "report" / "best.gif"


def test_the_exported_seed_is_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "trained", lambda cell, root: {1: "one", 2: "two", 3: "three"})
    job = models._job(cell("mpdqn", "plain"), summary_of(0.1, 0.9, 0.9), tmp_path)
    assert (job.seed, job.weights) == (2, "two")  # the first of equals
    assert job.folder == tmp_path / "models" / PLAIN


def test_the_observations_lie_within_the_bounds():
    trained = cell()
    rows = models._observations(trained)
    low, high = trained.task.observation_low, trained.task.observation_high
    assert rows.dtype == np.float32
    assert rows.shape == (1000, 9)
    assert ((rows >= low) & (rows <= high)).all()
    np.testing.assert_allclose(rows.mean(axis=0), (low + high) / 2, atol=0.05)


def test_a_model_card_says_what_the_model_is_and_how_it_was_checked(tmp_path):
    values = small(environments__platform__initial_parameters={"bias": [3.0, 10.0, 400.0]})
    trained = values.cell(INVERTING).replace({"learner.q.learning_rate": 0.00123})
    job = models.Job(trained, 2, ((), ()), tmp_path / INVERTING)
    models._describe(job, {"mean": 0.98765, "std": None}, 2.34e-7, values)
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
        "was 2.3e-07 of its range",
        "- `learner.q.learning_rate`: 0.00123\n",
    ):
        assert text in card, text
    assert "{" not in card
    signature = read_json(tmp_path / INVERTING / "signature.json")
    assert signature["inputs"] == [["observation", "float32", [-1, 9]]]

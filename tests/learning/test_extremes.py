"""Settings at the ends of what is allowed train, or end in an error that names what to change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pamdp.base.component import LARGEST, SMALLEST
from pamdp.base.errors import TrainingError
from pamdp.learning.training import Point, Training, advice, train
from tests.helpers import cell

TRAINING = Training(steps=60, report_every=20, evaluation_episodes=3)
SMALL = {
    "learner__batch_size": 1,
    "learner__replay_size": 1,
    "learner__learning_starts": 1,
    "learner__gradient_clip": None,
    "learner__q__hidden": [1],
    "learner__parameters__hidden": [1],
}
N_STEP = {"steps": 64, "beta": 1}  # as many as the memory keeps


def points(**changes: Any) -> list[Point]:
    """The curve of a short training; what it raises, it raises."""
    subject = cell(
        changes.pop("algorithm", "mpdqn"), changes.pop("strategy", "inverting"), **changes
    )
    return [event for event in train(subject, 1, TRAINING) if isinstance(event, Point)]


@pytest.mark.parametrize(
    "changes",
    [
        {"learner__q__learning_rate": SMALLEST, "learner__parameters__learning_rate": SMALLEST},
        {"learner__gradient_clip": SMALLEST},
        {"learner__gradient_clip": LARGEST},
        {"learner__reward_scale": SMALLEST},
        {"learner__gamma": 0, "learner__q__tau": 1e-12, "learner__parameters__tau": 1e-12},
        {"learner__gamma": 1, "learner__q__tau": 1, "learner__parameters__tau": 1},
        {"learner__gamma": SMALLEST, "learner__q__tau": SMALLEST},
        {"learner__q__output_std": 0, "learner__parameters__output_std": SMALLEST},
        {"learner__epsilon": {"start": 0, "end": 1, "episodes": LARGEST}},
        {"learner__epsilon": {"start": 1, "end": 0, "episodes": SMALLEST}},
        SMALL,
        {"learner__n_step": N_STEP, "learner__batch_size": 64, "learner__learning_starts": 59},
        {"task__noise": 0},
    ],
    ids=lambda changes: ",".join(f"{path}={value}" for path, value in changes.items())[:70],
)
def test_they_train(changes) -> None:
    curve = points(**changes)
    assert [point.step for point in curve] == [20, 40, 60]
    assert all(np.isfinite(value) for point in curve for value in point.metrics.values())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("learner__reward_scale", LARGEST),
        ("learner__q__learning_rate", LARGEST),
        ("learner__parameters__learning_rate", LARGEST),
        ("learner__q__output_std", LARGEST),
        ("learner__parameters__output_std", LARGEST),
        ("task__noise", LARGEST),
        ("initial_parameters", {"bias": [LARGEST] * 3}),
        ("learner__exploration", {"kind": "ornstein_uhlenbeck", "sigma": LARGEST}),
    ],
)
def test_they_train_or_the_error_names_what_is_large(path, value) -> None:
    end = ending(**{path: value})
    if isinstance(end, str):
        assert f"learning diverged. Try a smaller {path.replace('__', '.')}" in end
        assert (
            "(1e+12), which is large, or smaller learning rates or a smaller gradient_clip" in end
        )
    else:
        assert len(end) == 3


def ending(**changes: Any) -> list[Point] | str:
    """The curve of a short training, or what its error says."""
    try:
        return points(**changes)
    except TrainingError as error:
        return str(error)


def test_some_of_them_end_in_an_error() -> None:
    assert isinstance(ending(learner__parameters__learning_rate=LARGEST), str)


def test_what_is_not_large_is_not_blamed() -> None:
    named = advice(cell(learner__gradient_clip=None, learner__epsilon__episodes=LARGEST))
    assert named == "smaller learning rates or a gradient_clip"
    assert advice(cell(learner__q__learning_rate=1.0)).startswith(
        "a smaller learner.q.learning_rate (1), which is large, or smaller"
    )

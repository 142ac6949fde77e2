"""What DVC's tools see of trainings under way."""

from __future__ import annotations

import csv
import json

import pytest
from dvc.repo import Repo
from dvc.repo.experiments.show import show as experiments_of

from pamdp.checkout import Checkout
from pamdp.learning.training import Point
from pamdp.stages import live
from pamdp.stages.live import Live
from tests.helpers import ROOT, settings
from tests.pipeline import checkout as checkouts


def point(step: int, value: float) -> Point:
    return Point(step, {"eval/return": value})


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(settings(), tmp_path)


def curves(checkout: Checkout) -> list[list[str]]:
    with (checkout.live / "curves.csv").open(newline="") as file:
        return [*csv.reader(file)]


def test_what_all_seeds_have_reached_is_shown_with_its_spread(checkout) -> None:
    shown = Live(checkout, "a-b-c")
    shown.show({1: [point(10, 0.5), point(20, 0.75)], 2: [point(10, 0.0)]})
    assert curves(checkout) == [
        ["cell", "step", "mean", "low", "high"],
        ["a-b-c", "10", "0.25", "0.0", "0.5"],
    ]
    metrics = json.loads((checkout.live / "metrics.json").read_text())
    assert metrics == {"a-b-c": {"step": 10, "return": 0.25}}


def test_cells_that_are_trained_at_a_time_are_shown_together(checkout) -> None:
    for name, value in (("a-b-d", 1.0), ("a-b-c", 0.5)):
        Live(checkout, name).show({1: [point(10, value)]})
    assert [row[:3] for row in curves(checkout)[1:]] == [
        ["a-b-c", "10", "0.5"],
        ["a-b-d", "10", "1.0"],
    ]


def test_it_writes_now_and_then(checkout, monkeypatch) -> None:
    shown, points = Live(checkout, "a-b-c"), [point(10, 1.0)]
    shown.show({1: points})
    points.append(point(20, 2.0))
    shown.show({1: points})
    assert len(curves(checkout)) == 2
    monkeypatch.setattr(live, "INTERVAL", 0.0)
    shown.show({1: points})
    assert len(curves(checkout)) == 3


def test_before_the_first_point_of_all_seeds_there_is_nothing(checkout) -> None:
    Live(checkout, "a-b-c").show({1: [point(10, 1.0)], 2: []})
    assert not checkout.live.exists()


def test_what_cannot_be_written_ends_no_training(checkout) -> None:
    checkout.live.write_text("a file in its place")
    Live(checkout, "a-b-c").show({1: [point(10, 1.0)]})
    assert checkout.live.read_text() == "a file in its place"


def test_dvc_sees_it_while_it_is_there(tmp_path) -> None:
    root = tmp_path / "checkout"
    for name in (*checkouts.PLOTS, ".dvc/config", ".dvcignore", ".gitignore"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((ROOT / name).read_bytes())
    checkouts.git(root, "init", "--quiet")
    with Repo(root):  # which writes files of its own
        checkouts.commit(root)
    checkout = Checkout(settings(), root)
    Live(checkout, "a-b-c").show({1: [point(10, 0.5)]})
    with Repo(root) as repo:
        (workspace, *_) = experiments_of(repo)
        assert workspace.data.metrics["live/metrics.json"]["data"] == {
            "a-b-c": {"step": 10, "return": 0.5}
        }
        plot = next(repo.plots.collect(revs=["workspace"]))
    (shown,) = plot["workspace"]["definitions"]["data"]["live/dvc.yaml"]["data"].values()
    assert shown["template"] == "learning_curves"
    assert checkouts.git(root, "status", "--porcelain") == "?? live/\n"
    live.forget(checkout)
    with Repo(root) as repo:
        (workspace, *_) = experiments_of(repo)
    assert workspace.data.metrics == {}

"""Results that are there before DVC has come to their stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.records import Run
from pamdp.stages import ahead, train, tune
from tests.unit.two_cells import INVERTING, PLAIN, found, set_up, small


def record(folder, **content) -> None:
    """The last that is written of a result."""
    Run(key="x", fingerprint="a", **content).write(folder / "record.json")


def test_it_is_there_once_its_record_is_and_taken_with_nothing_old_beside_it(tmp_path):
    folder, place = tmp_path / "ahead", tmp_path / "place"
    write_json(place / "old.json", 1)
    write_json(folder / "best.json", 2)
    assert not ahead.is_there(folder)
    record(folder)
    assert ahead.is_there(folder)
    ahead.take(folder, place)
    assert {path.name for path in place.iterdir()} == {"best.json", "record.json"}


def test_it_is_made_once(tmp_path, monkeypatch, capsys):
    checkout, made = set_up(tmp_path), []
    monkeypatch.setattr(ahead.Checkout, "here", lambda: checkout)

    def make(folder) -> None:
        made.append(folder)
        record(folder)

    def find(here) -> Path:
        return ahead.search(here, PLAIN)

    assert ahead.made(checkout, find, make) == find(checkout)
    assert capsys.readouterr().out == ""
    assert ahead.made(checkout, find, make) == find(checkout)
    assert capsys.readouterr().out.startswith(f"{PLAIN}: taken as it was computed before")
    monkeypatch.setenv("PAMDP_STUDY", "1")  # which says so of all at once
    ahead.made(checkout, find, make)
    assert capsys.readouterr().out == ""
    assert made == [find(checkout)]


def test_settings_that_are_edited_meanwhile_are_refused_and_the_result_is_kept(
    tmp_path, monkeypatch
):
    checkout = set_up(tmp_path)

    def find(here) -> Path:
        return ahead.search(here, PLAIN)

    before = find(checkout)

    def edit(folder) -> None:
        record(folder)
        edited = set_up(tmp_path, **{"tuning.trials": 5})  # params.yaml, then `setup`
        monkeypatch.setattr(ahead.Checkout, "here", lambda: edited)

    with pytest.raises(PamdpError, match=r"edited while it ran; what .* has computed is kept"):
        ahead.made(checkout, find, edit)
    assert ahead.is_there(before)
    assert find(set_up(tmp_path)) == before


@pytest.mark.parametrize(
    ("stages", "left"),
    [
        ([], set()),
        (["report"], set()),
        (["tune"], set()),
        (["setup"], {PLAIN, INVERTING}),
        (["evalute"], {PLAIN, INVERTING}),
        ([f"train@{PLAIN}"], {INVERTING}),
        ([f"train@{PLAIN}", f"tune@{INVERTING}"], set()),
    ],
)
def test_what_is_forced_is_forgotten_with_all_that_it_depends_on(tmp_path, stages, left):
    checkout = Checkout(small(), tmp_path)
    for stage in ("tune", "train"):
        for cell in (PLAIN, INVERTING):
            record(checkout.ahead / stage / cell / "mark")
    ahead.forget(checkout, stages)
    assert {path.parent.parent.name for path in checkout.ahead.rglob("record.json")} == left


def test_a_search_of_other_settings_is_another_one(tmp_path):
    one = ahead.search(set_up(tmp_path), PLAIN)
    assert one == ahead.search(set_up(tmp_path), PLAIN)
    use = {PLAIN: {"use_trial": 1}}
    more = {"tuning.trials": 5}, {"tuning.cells": use}, {"tuning.sampler_seed": 7}
    others = [ahead.search(set_up(tmp_path, **changes), PLAIN) for changes in more]
    assert len({one, *others, ahead.search(set_up(tmp_path), INVERTING)}) == 5


def test_a_training_depends_on_what_its_search_found(tmp_path):
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    write_json(tmp_path / "other" / "best.json", {"values": {"learner.gamma": 0.5}, "score": 1.0})
    here, other = ahead.training(checkout, PLAIN, checkout.tune(PLAIN)), tmp_path / "other"
    assert here != ahead.training(checkout, PLAIN, other)
    assert ahead.same_values(checkout.tune(PLAIN), checkout.tune(PLAIN))
    assert not ahead.same_values(checkout.tune(PLAIN), other)
    assert not ahead.same_values(checkout.tune(PLAIN), tmp_path / "none")


def test_a_training_with_other_seeds_is_another_result_and_takes_the_same_checkpoints(tmp_path):
    found(tmp_path, PLAIN, {})
    best = tmp_path / "metrics" / "tune" / PLAIN
    one, more = (
        ahead.training(set_up(tmp_path, study__seeds=seeds), PLAIN, best)
        for seeds in ([1, 2], [1, 2, 3])
    )
    assert one != more
    assert one.name.partition("-")[0] == more.name.partition("-")[0]


def test_other_code_and_other_settings_are_other_results(tmp_path):
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    best = checkout.tune(PLAIN)
    before = ahead.training(checkout, PLAIN, best)
    write_json(checkout.setup / "code" / "train.json", {"source": "other"})
    assert ahead.training(checkout, PLAIN, best) != before
    other = Checkout(small(environments__platform__learner__gamma=0.5), tmp_path)
    with pytest.raises(PamdpError, match="expected the settings that `setup` has looked at"):
        ahead.training(other, PLAIN, best)


@pytest.mark.parametrize("stage", [tune, train])
def test_a_stage_takes_it_and_computes_nothing(tmp_path, monkeypatch, stage):
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    monkeypatch.setattr(stage.Checkout, "here", lambda: checkout)
    if stage is tune:
        folder, place = ahead.search(checkout, PLAIN), checkout.tune(PLAIN)
    else:
        folder = ahead.training(checkout, PLAIN, checkout.tune(PLAIN))
        place = checkout.train(PLAIN)
    record(folder)
    # Nothing has been measured here: to compute would fail.
    stage.run(type("Options", (), {"cell": PLAIN}))
    assert (place / "record.json").is_file()

"""Results that are there before DVC has come to their stage."""

from __future__ import annotations

import pytest

from pamdp.base.errors import PamdpError
from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.stages import ahead, train, tune
from tests.unit.two_cells import INVERTING, PLAIN, found, set_up, small


def test_it_is_taken_once_its_record_is_there(tmp_path):
    folder, place = tmp_path / "ahead", tmp_path / "place"
    write_json(place / "old.json", 1)
    write_json(folder / "best.json", 2)
    assert not ahead.take(folder, place)
    assert (place / "old.json").exists()
    write_json(folder / "record.json", 3)
    assert ahead.take(folder, place)
    assert {path.name for path in place.iterdir()} == {"best.json", "record.json"}
    assert ahead.is_there(folder)


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
    here, other = ahead.training(checkout, PLAIN), tmp_path / "other"
    assert here == ahead.training(checkout, PLAIN, checkout.tune(PLAIN))
    assert here != ahead.training(checkout, PLAIN, other)
    assert ahead.agree(checkout.tune(PLAIN), checkout.tune(PLAIN))
    assert not ahead.agree(checkout.tune(PLAIN), other)
    assert not ahead.agree(checkout.tune(PLAIN), tmp_path / "none")


def test_a_training_with_other_seeds_is_another_result_and_takes_the_same_checkpoints(tmp_path):
    found(tmp_path, PLAIN, {})
    one, more = (
        ahead.training(set_up(tmp_path, study__seeds=seeds), PLAIN) for seeds in ([1, 2], [1, 2, 3])
    )
    assert one != more
    assert one.name.partition("-")[0] == more.name.partition("-")[0]


def test_other_code_and_other_settings_are_other_results(tmp_path):
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    before = ahead.training(checkout, PLAIN)
    write_json(checkout.setup / "code" / "train.json", {"source": "other"})
    assert ahead.training(checkout, PLAIN) != before
    with pytest.raises(PamdpError, match="expected the settings that `setup` has looked at"):
        ahead.training(Checkout(small(environments__platform__learner__gamma=0.5), tmp_path), PLAIN)


@pytest.mark.parametrize("stage", [tune, train])
def test_a_stage_takes_it_and_computes_nothing(tmp_path, monkeypatch, stage):
    checkout = set_up(tmp_path)
    found(tmp_path, PLAIN, {})
    monkeypatch.setattr(stage.Checkout, "here", lambda: checkout)
    find = ahead.search if stage is tune else ahead.training
    place = checkout.tune(PLAIN) if stage is tune else checkout.train(PLAIN)
    content = {"values": {}, "score": None}
    for name in ("best.json", "record.json"):
        write_json(find(checkout, PLAIN) / name, content)
    # Nothing has been measured here: to compute would fail.
    stage.run(type("Options", (), {"cell": PLAIN}))
    assert (place / "record.json").is_file()

"""The best cell is the same one for the report, the film and MLflow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pamdp.files import write_json
from pamdp.learning.cell import CellName
from pamdp.ranking import best_cells
from pamdp.reporting.data import Section
from pamdp.tracking.pages import Results


def summary(**means: float) -> dict[str, Any]:
    return {
        name.replace("__", "-"): {"return": {"mean": mean}, "per_seed": []}
        for name, mean in means.items()
    }


WORDS = {
    "algorithms": {
        "mine": {"kind": "mpdqn", "title": "Mine"},
        "mpdqn": {"kind": "mpdqn", "title": "MP-DQN"},
        "pdqn": {"kind": "pdqn", "title": "P-DQN"},
    },
    "strategies": {"plain": {"kind": "plain"}, "inverting": {"kind": "inverting"}},
}


def test_of_equals_the_simplest_is_the_best_for_all(tmp_path):
    found = summary(
        a__mpdqn__plain=1.0, a__pdqn__inverting=1.0, a__pdqn__plain=1.0, b__mine__plain=2.0,
        b__mpdqn__plain=1.0,
    )  # fmt: skip
    best = {"a": "a-pdqn-plain", "b": "b-mine-plain"}
    assert best_cells(found, WORDS) == best
    write_json(tmp_path / "metrics" / "evaluate" / "summary.json", found)
    write_json(tmp_path / "metrics" / "setup" / "descriptions.json", WORDS)
    assert Results(tmp_path).best() == best
    names = [name for name in map(CellName.parse, found) if name.environment == "a"]
    cells: Any = {
        (name.algorithm, name.strategy): SimpleNamespace(name=name, summary=found[str(name)])
        for name in names
    }
    assert str(Section("a", {}, WORDS, cells, (), None).best.name) == best["a"]


def test_a_name_counts_as_its_kind():
    found = summary(a__mine__plain=1.0, a__pdqn__plain=1.0)
    assert best_cells(found, WORDS) == {"a": "a-pdqn-plain"}
    words = {"algorithms": {"mine": {"kind": "pdqn"}, "pdqn": {"kind": "mpdqn"}}}
    assert best_cells(found, words) == {"a": "a-mine-plain"}

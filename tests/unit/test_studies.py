"""The studies of this repository: folders like the root, and the page that is made of all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from ruamel.yaml import YAML

from docs import glance, results
from pamdp.base.errors import PamdpError
from pamdp.files import write_json
from pamdp.inheritance import SINGLE
from pamdp.reporting.style import to_svg
from pamdp.settings import SHIPPED, load
from pamdp.stages import init
from tests.helpers import ROOT

STUDIES = sorted(path.parent for path in ROOT.glob("studies/*/params.yaml"))
OWN = ("params.yaml",)
CELLS = ("a-pdqn-plain", "a-pdqn-inverting", "b-pdqn-plain")
REPORT = "# Results\n\nThree cells.\n\n## A\n\n**P-DQN leads.** It does.\n\n### Details\n"


# -- The folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_a_study_has_the_files_of_the_template(folder: Path) -> None:
    for name, text in init.copied().items():
        path = folder / name
        assert not path.is_symlink(), f"{path}: DVC reads no links in git's history"
        if str(name) not in OWN:
            assert path.read_text() == text, f"copy {name} of the root"
    for name in init.SHARED:
        assert not (folder / name).readlink().is_absolute()
        assert (folder / name).resolve() == ROOT / name


def test_init_makes_such_a_folder_in_a_checkout(tmp_path: Path, monkeypatch) -> None:
    checkout, texts = tmp_path / "checkout", init._texts()
    package = checkout / "src" / "pamdp"
    package.mkdir(parents=True)
    (package / "cli.py").touch()
    monkeypatch.setattr(init, "TEMPLATE", package / "template")
    monkeypatch.setattr(init, "_texts", lambda: texts)
    folder = checkout / "studies" / "mine"
    monkeypatch.chdir(checkout)
    assert init.start(Path("studies/mine")) == []
    found = {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}
    assert found == {*init.copied(), *init.SHARED}
    assert (folder / "pipeline").readlink() == Path("../../pipeline")
    assert (folder / ".dvc" / "plots").readlink() == Path("../../../.dvc/plots")
    assert not (folder / "README.md").exists()
    with pytest.raises(PamdpError, match="expected a folder without files of a study"):
        init.start(folder)
    # Elsewhere all are files.
    init.start(tmp_path / "elsewhere")
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_symlink()]
    assert (tmp_path / "elsewhere" / "README.md").is_file()


@pytest.mark.parametrize("folder", STUDIES, ids=lambda folder: folder.name)
def test_the_settings_of_a_study_are_those_that_ship(folder: Path) -> None:
    study, shipped = load(folder / "params.yaml"), load(SHIPPED)
    values = YAML(typ="safe").load(folder / "params.yaml")
    assert study.study.name == folder.name
    assert [*study.environments] == [*study.study.environments]
    for name, block in values["environments"].items():
        parent = block["extends"].removeprefix("pamdp.environments.")
        if [*block] == ["extends"]:  # those with more say what they change
            assert study.environments[name] == shipped.environments[parent]
    assert values[SINGLE]["extends"] == "pamdp.tuning"
    for family in ("algorithms", "gradients"):
        ours, theirs = getattr(study, family), getattr(shipped, family)
        assert all(ours[name] == theirs[name] for name in {*ours} & {*theirs})


def test_the_studies_ask_the_question() -> None:
    found = {folder.name: load(folder / "params.yaml").study for folder in STUDIES}
    for name, seeds in (("platform", 20), ("goal", 10), ("catch_point", 10), ("hard_move_4", 10)):
        assert found[name].environments == (name, f"sparse_{name}")
        assert found[name].algorithms == ("pdqn", "mpdqn")
        assert len(found[name].strategies) == 9
        assert len(found[name].seeds) == seeds
    for name in ("goal_variants", "hard_goal", "many_actions", "spdqn"):
        assert found[name].strategies == ("inverting",)
        assert len(found[name].seeds) == 5
    assert found["baselines"].algorithms == ("pdqn", "mpdqn", "paddpg", "mpdqn_heads")
    assert found["many_actions"].algorithms == ("mpdqn", "epdqn")
    assert len(found["candidates"].seeds) == 8
    for name in ("hard_goal", "many_actions", "spdqn"):
        assert min(found[name].seeds) > 10  # the others have chosen its settings


# -- docs/results.md -------------------------------------------------------------------------------


def test_what_studies_keep_is_of_the_run_in_their_dvc_lock() -> None:
    for study in results.studies(ROOT):
        if study.has_run:
            study.check()
            assert study.times.keys() <= study.ran.keys()


def test_the_page_is_current() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    assert results.page(ROOT) == text, "run `make results`"


def test_the_figures_of_the_readme_are_those_of_the_study() -> None:
    report = (ROOT / "studies" / "platform" / "results" / "results.md").read_text()
    # The first table of each environment has a strategy's returns in a row.
    dense, sparse = (part.partition("Mean greedy")[0] for part in report.split("\n## ")[1:])
    of_report = [{row[0]: row[1:] for row in rows(part)[1:]} for part in (dense, sparse)]
    of_readme = [row for row in rows((ROOT / "README.md").read_text()) if len(row) == 5]
    strategies = {name: found for name, *found in of_readme if name.startswith("`")}
    assert len(strategies) == 9
    for name, found in strategies.items():
        assert found == [*of_report[0][name], *of_report[1][name]], name


def test_the_figure_is_current() -> None:
    drawn = to_svg(glance.draw(results.answer(results.studies(ROOT))))
    assert (ROOT / results.FIGURE).read_text() == drawn, "run `make results`"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The root without results, and a study with some."""
    for source in (ROOT / "params.yaml", ROOT / "studies" / "goal" / "params.yaml"):
        path = tmp_path / source.relative_to(ROOT)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
    folder = tmp_path / "studies" / "goal" / "results"
    folder.mkdir()
    (folder / "results.md").write_text(REPORT)
    (folder / "hard_goal-returns.svg").touch()
    (folder / "hard_goal-curves-pdqn.svg").touch()
    ran = {"seeds": 5, "steps": 4000, "trials": 8}
    write_json(folder / "comparisons.json", [compared(*CELLS[:2])])
    marks = {name: {"tune": f"t {name}", "train": f"l {name}"} for name in CELLS}
    write_json(folder / "cells.json", {name: ran | marks[name] for name in CELLS})
    taken = {
        name: {
            "tune": {"seconds": 1800.0, "workers": 2, "fingerprint": f"t {name}"},
            "train": {"seconds": 5430.0, "workers": 1 + index, "fingerprint": f"l {name}"},
        }
        for index, name in enumerate(CELLS)
    }
    write_json(folder.parent / "times.json", taken)
    (tmp_path / "docs").mkdir()
    return tmp_path


def compared(reference: str, cell: str, measure: str = "final_return") -> dict[str, object]:
    estimate = {"difference": [0.1, 0, 0.2], "probability": [0.75, 0.5, 1.0], "p": 0.1}
    names = {"kind": "strategies", "measure": measure, "cell": cell, "reference": reference}
    return {**names, **estimate, "corrected": 0.2, "verdict": "not told apart"}


def rows(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_a_study_that_has_run_has_a_section(repository: Path) -> None:
    text = results.page(repository)
    assert "\n## Study goal\n\n`make study STUDY=goal` makes it, and " in text
    assert "[studies/goal/params.yaml](../studies/goal/params.yaml)" in text
    assert rows(text)[2:4] == [
        ["`a`, `pdqn`", "2", "5", "4,000", "8", "1:00 (2)", "3:01 (1 to 2)"],
        ["`b`, `pdqn`", "1", "5", "4,000", "8", "0:30 (2)", "1:30 (3)"],
    ]
    assert "\nThree cells.\n\n### A\n\n**P-DQN leads.** It does.\n\n#### Details\n" in text
    shown = (
        "![Hard Goal: mean greedy return of each cell](../studies/goal/results/hard_goal-returns"
    )
    assert f"\n{shown}.svg)\n" in text
    assert "![Hard Goal: learning curves of pdqn](../studies/goal/results/hard_goal-curves-" in text
    # The one of the root has not run.
    assert text.index("## Study goal") < text.index("## Not run yet")
    cells = str(len(load(repository / "params.yaml").cells))
    assert rows(text)[-1][0] == "[params.yaml](../params.yaml)"
    assert rows(text)[-1][2::2] == [cells, "`make study`"]


def test_verdicts_of_the_study_with_most_seeds_are_drawn(tmp_path: Path) -> None:
    pair = ("platform-mpdqn-inverting", "platform-mpdqn-plain")
    entries = [compared(*pair), compared(*pair, "area_under_curve"), compared(*reversed(pair))]
    for name, more in (("few", 0), ("many", 12), ("none", None)):
        folder = tmp_path / "studies" / name / "results"
        folder.mkdir(parents=True)
        (folder.parent / "params.yaml").touch()
        if more is not None:
            (folder / "results.md").touch()
            write_json(folder / "cells.json", {name: {"seeds": 8 + more} for name in pair})
            verdict = "worse" if more else "not told apart"
            write_json(
                folder / "comparisons.json", [each | {"verdict": verdict} for each in entries]
            )
    found = results.answer(results.studies(tmp_path))
    ((column, by_strategy),) = found.items()
    assert column == ("platform", "mpdqn")
    assert {name: each.verdict for name, each in by_strategy.items()} == {"plain": "worse"}
    drawn = glance.draw(found)
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert texts == ["0.75"]
    (tile,) = drawn.axes[0].patches
    assert to_hex(tile.get_facecolor()) == glance.TILES["worse"]


def test_times_of_other_results_are_not_told(repository: Path) -> None:
    path = repository / "studies" / "goal" / "times.json"
    taken = json.loads(path.read_text())
    taken["a-pdqn-plain"]["train"]["fingerprint"] = "another"
    del taken["b-pdqn-plain"]["tune"]
    path.write_text(json.dumps(taken))
    assert [row[-2:] for row in rows(results.page(repository))[2:4]] == [
        ["1:00 (2)", results.UNKNOWN],
        [results.UNKNOWN, "1:30 (3)"],
    ]
    path.unlink()
    assert [row[-2:] for row in rows(results.page(repository))[2:4]] == [[results.UNKNOWN] * 2] * 2


def test_results_of_another_run_are_refused(repository: Path, monkeypatch) -> None:
    said = {"report": [{"changed deps": {"metrics/train": "deleted"}}, {"changed outs": {}}]}

    def status(*_: object, cwd: Path, **__: object) -> object:
        assert cwd == repository / "studies" / "goal"
        return type("Done", (), {"returncode": 0, "stdout": json.dumps(said), "stderr": ""})

    monkeypatch.setattr(results.subprocess, "run", status)
    results.main(repository)
    page = repository / "docs" / "results.md"
    assert page.read_text() == results.page(repository)
    page.write_text("before")
    said["report"].append({"changed outs": {"metrics/report": "deleted", "results": "modified"}})
    with pytest.raises(
        PamdpError, match=r"goal/results: expected what dvc.lock says of it, .*goal"
    ):
        results.main(repository)
    assert page.read_text() == "before"

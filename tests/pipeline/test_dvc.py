"""What dvc.yaml says: which stages there are, what they run, and what settings make them run again.

What edits of code make run again is in test_edits.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from pamdp.algorithms import ALGORITHMS
from pamdp.settings import Settings, SettingsError, load
from pamdp.stages import facts
from pamdp.strategies.members import MEMBERS
from tests.helpers import ROOT, changed, params
from tests.pipeline import checkout

CHAIN, STAGES = "reversal_inverting", ("tune", "train")
NAMES = (*MEMBERS, CHAIN)
FEW = ("plain", "reversal", CHAIN)
WHOLE = {
    "study.environments": ["platform"],
    "study.algorithms": list(ALGORITHMS),
    "study.strategies": list(NAMES),
}
ONCE = {"setup", "evaluate", "export", "report"}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")


def stages_of(
    *strategies: str, algorithms: Iterable[str] = ALGORITHMS, stages: tuple[str, ...] = STAGES
) -> set[str]:
    """The names of the stages of cells."""
    return {
        f"{stage}@platform-{algorithm}-{strategy}"
        for stage in stages
        for algorithm in algorithms
        for strategy in strategies
    }


CELLS = stages_of(*FEW)
TUNE, TRAIN = (stages_of(*FEW, stages=(stage,)) for stage in STAGES)


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Path:
    """A checkout of a small study whose stages have all run, as far as DVC can tell.

    Leave it as it was.
    """
    study = WHOLE | {"study.strategies": list(FEW)}
    root = checkout.make(tmp_path_factory.mktemp("complete"), study)
    names = [f"{family}/{name}" for family, name in facts_of_study()]
    for name in (*names, *(f"code/{stage}" for stage in facts.STAGES)):
        write(root / "metrics" / "setup" / f"{name}.json", name)
    for name in ("comparisons", "descriptions", "measured", "thresholds", "versions"):
        write(root / "metrics" / "setup" / f"{name}.json", name)
    with opened(root) as repo:
        for stage in repo.index.stages:
            for out in stage.outs:
                pretend(stage.name, Path(out.fs_path))
    with opened(root) as repo:
        repo.commit(force=True)
    assert status(root) == set()
    return root


def facts_of_study() -> Iterator[tuple[str, str]]:
    yield from (("algorithms", name) for name in ALGORITHMS)
    yield from (("strategies", name) for name in FEW)
    yield "environments", "platform"
    yield "settings", "platform"
    yield from (("tuning", name.removeprefix("tune@")) for name in TUNE)


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def pretend(stage: str, out: Path) -> None:
    """Writes an output that nothing computed."""
    if out.suffix:
        write(out, {})
    elif stage != "setup":
        for name in ("best.json", "record.json", "summary.json"):
            write(out / name, stage)


@contextmanager
def opened(root: Path) -> Iterator[Repo]:
    with chdir(root), Repo() as repo:
        yield repo


def status(root: Path) -> set[str]:
    """The stages that `dvc status` lists, but for setup, which it always does."""
    with opened(root) as repo:
        found = repo.status()
    assert "always changed" in found.pop("setup")
    return set(found)


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> dict[str, Any]:
    """The stages of all algorithms and strategies and of a chain, by name."""
    root = checkout.make(tmp_path_factory.mktemp("stages"), WHOLE)
    with opened(root) as repo:
        return {stage.name: stage for stage in repo.index.stages}


def reads(stage: Any) -> set[str]:
    """What a stage depends on, relative to the root, but for parameters."""
    return {dependency.def_path for dependency in stage.deps} - {"params.yaml"}


# -- Which stages there are ----------------------------------------------------------------------


def test_there_are_the_stages_of_all_cells_and_of_the_study(stages):
    assert set(stages) == stages_of(*NAMES) | ONCE


def test_commands_name_a_script_and_leave_the_cell_to_a_variable(stages):
    for name, stage in stages.items():
        script = f"pipeline/{name.split('@')[0]}.py"
        assert stage.cmd == f"python {script}" + (' "$DVC_STAGE"' if "@" in name else "")
        assert (ROOT / script).is_file()


def test_no_text_of_the_settings_is_read_by_a_shell():
    commands = re.findall(r"cmd: (.*)", (ROOT / "dvc.yaml").read_text())
    assert not [command for command in commands if "${" in command]


@pytest.mark.parametrize("name", ["x;rm -rf ~", "$(id)", "a b", "a-b", "A", "1a", "", "a\n", "é"])
@pytest.mark.parametrize("path", ["environments", "algorithms", "strategies"])
def test_names_that_a_shell_could_misread_are_refused(tmp_path, path, name):
    values = changed(params(), {f"study.{path}": [name]})
    target = values["gradients" if path == "strategies" else path]
    target[name] = next(iter(target.values()))
    with pytest.raises(ValueError, match=rf"study\.{path}|environments|gradients"):
        Settings.model_validate(values)
    file = tmp_path / "params.yaml"
    YAML(typ="safe", pure=True).dump(values, file)
    refused = rf"study\.{path}\.0: expected|expected a key of .* that can be printed"
    with pytest.raises(SettingsError, match=refused):
        load(file)


def test_no_output_is_declared_twice_and_all_are_results(stages):
    outs = [out.def_path for stage in stages.values() for out in stage.outs]
    assert len(outs) == len(set(outs))
    assert all(re.match(r"(metrics/|models$|results$)", out) for out in outs)
    kept = [out.def_path for stage in stages.values() for out in stage.outs if not out.use_cache]
    assert kept == ["results"]  # by git


def test_a_stage_that_checks_settings_first_keeps_its_old_results(stages):
    # DVC deletes the outputs of a stage before it runs it, unless they persist. These find out
    # first that params.yaml is wrong.
    for name in {"setup"} | stages_of(*NAMES, stages=("tune",)):
        assert all(out.persist for out in stages[name].outs), name


def test_code_is_told_by_what_setup_writes_and_not_by_paths(stages):
    assert "src" not in (ROOT / "dvc.yaml").read_text()
    for stage in stages.values():
        assert all(path.startswith("metrics/") for path in reads(stage)), stage.name
    with_code = {
        name.split("@")[0] for name, stage in stages.items() if code(stage) in reads(stage)
    }
    assert with_code == {*facts.STAGES}


def code(stage: Any) -> str:
    return f"metrics/setup/code/{stage.name.split('@')[0]}.json"


def test_a_cell_depends_on_the_facts_about_its_three_members(stages):
    for name in stages_of(*NAMES):
        environment, algorithm, strategy = name.split("@")[1].split("-")
        assert reads(stages[name]) >= {
            f"metrics/setup/algorithms/{algorithm}.json",
            f"metrics/setup/environments/{environment}.json",
            f"metrics/setup/settings/{environment}.json",
            f"metrics/setup/strategies/{strategy}.json",
            "metrics/setup/versions.json",
        }


def test_it_is_short():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 130


def test_stages_follow_one_another(complete):
    with opened(complete) as repo:
        graph = {
            stage.name: {other.name for other in repo.index.graph.successors(stage)}
            for stage in repo.index.stages
        }
    assert graph["setup"] == set()
    assert graph["tune@platform-pdqn-plain"] == {"setup"}
    assert graph["train@platform-pdqn-plain"] == {"setup", "tune@platform-pdqn-plain"}
    assert graph["evaluate"] == {"setup"} | CELLS
    assert graph["export"] == {"setup", "evaluate"} | TRAIN
    assert graph["report"] == {"setup", "evaluate"} | CELLS


# -- What makes them run again -------------------------------------------------------------------

PARAMS = {
    "gradients.reversal.factor": (0.2, stages_of("reversal")),
    f"gradients.{CHAIN}.0.factor": (0.2, stages_of(CHAIN)),
    "gradients.zeroing.kind": ("plain", set()),  # which this study does not have
    "algorithms.mpdqn.kind": ("pdqn", stages_of(*FEW, algorithms=["mpdqn"])),
    "study.seeds": ([1, 2, 3], (ONCE | TRAIN) - {"setup"}),
    "evaluation.episodes": (1, {"evaluate", "export"}),
}


@pytest.mark.parametrize("path", PARAMS)
def test_a_setting_reruns_what_depends_on_it(complete, path):
    value, expected = PARAMS[path]
    before = (complete / "params.yaml").read_text()
    with checkout.edited(complete / "params.yaml", before):
        checkout.change(complete, {path: value})
        assert status(complete) == expected


FACTS = {
    "versions": {"report"} | CELLS,
    "strategies/reversal": stages_of("reversal"),
    f"strategies/{CHAIN}": stages_of(CHAIN),
    "algorithms/mpdqn": stages_of(*FEW, algorithms=["mpdqn"]),
    "environments/platform": {"evaluate", "export", "report"} | CELLS,
    "settings/platform": {"evaluate"} | CELLS,  # which `setup` writes, test_edits.py
    "thresholds": {"evaluate"},
    "comparisons": {"evaluate"},
    "tuning/platform-mpdqn-plain": {"tune@platform-mpdqn-plain"},
    "code/tune": TUNE,
    "code/train": TRAIN,
    "code/evaluate": {"evaluate"},
    "code/export": {"export"},
    "code/report": {"report"},
    "descriptions": {"report"},
    "measured": set(),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_reruns_what_depends_on_it(complete, name):
    with checkout.edited(complete / "metrics" / "setup" / f"{name}.json", '"other"'):
        assert status(complete) == FACTS[name]


def test_other_best_values_rerun_the_training_of_their_cell(complete):
    path = complete / "metrics" / "tune" / "platform-pdqn-plain" / "best.json"
    tuned, trained = "tune@platform-pdqn-plain", "train@platform-pdqn-plain"
    with checkout.edited(path):
        assert status(complete) == {tuned, trained, "evaluate", "report"}

"""What dvc.yaml says: which stages there are, what they run, and what makes them run again."""

from __future__ import annotations

import ast
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
from pamdp.cells import code_of, sources
from pamdp.gradients import STRATEGIES
from pamdp.settings import Settings, SettingsError, load
from tests.helpers import ROOT, changed, params
from tests.pipeline import checkout

CHAIN, KINDS = "reversal_inverting", ("tune", "train")
NAMES = (*(strategy.model_fields["kind"].annotation.__args__[0] for strategy in STRATEGIES), CHAIN)
FEW = ("plain", "reversal")
WHOLE = {
    "study.environments": ["platform"],
    "study.algorithms": list(ALGORITHMS),
    "study.strategies": [name for name in NAMES if name != CHAIN],
    "study.chains": [],
}
ONCE = {"setup", "evaluate", "export", "report"}
PACKAGE = ROOT / "src" / "pamdp"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")


def stages_of(
    *strategies: str, algorithms: Iterable[str] = ALGORITHMS, kinds: tuple[str, ...] = KINDS
) -> set[str]:
    """The names of the stages of cells."""
    return {
        f"{kind}{'_chain' if strategy == CHAIN else ''}@platform-{algorithm}-{strategy}"
        for kind in kinds
        for algorithm in algorithms
        for strategy in strategies
    }


CELLS = stages_of(*FEW)
TUNE, TRAIN = (stages_of(*FEW, kinds=(kind,)) for kind in KINDS)


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Path:
    """A checkout of a small study whose stages have all run, as far as DVC can tell.

    Leave it as it was.
    """
    study = WHOLE | {"study.strategies": list(FEW)}
    root = checkout.make(tmp_path_factory.mktemp("complete"), study)
    with opened(root) as repo:
        for stage in repo.index.stages:
            for out in stage.outs:
                pretend(stage.name, Path(out.fs_path))
    with opened(root) as repo:
        repo.commit(force=True)
    assert status(root) == set()
    return root


def pretend(stage: str, out: Path) -> None:
    """Writes an output that nothing computed."""
    if out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("{}")
    else:
        out.mkdir(parents=True)
        for name in ("best.json", "platform.json", "record.json", "summary.json"):
            (out / name).write_text(json.dumps(stage))


@contextmanager
def opened(root: Path) -> Iterator[Repo]:
    with chdir(root), Repo() as repo:
        yield repo


def status(root: Path) -> set[str]:
    """The stages that `dvc status` lists."""
    with opened(root) as repo:
        return set(repo.status())


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> dict[str, Any]:
    """The stages of all algorithms and strategies with a chain, by name."""
    root = checkout.make(tmp_path_factory.mktemp("stages"), WHOLE | {"study.chains": [CHAIN]})
    with opened(root) as repo:
        return {stage.name: stage for stage in repo.index.stages}


def reads(stage: Any) -> set[str]:
    """The files that a stage depends on, relative to the root."""
    root, found = Path(stage.repo.root_dir), set()
    for dependency in stage.deps:
        path = Path(dependency.fs_path)
        files = path.rglob("*.py") if path.is_dir() else [path]
        found |= {file.relative_to(root).as_posix() for file in files}
    return found


# -- Which stages there are ----------------------------------------------------------------------


def test_there_are_the_stages_of_all_cells_and_of_the_study(stages):
    assert set(stages) == stages_of(*NAMES) | ONCE


def test_without_chains_there_are_none(tmp_path):
    root = checkout.make(tmp_path / "x", WHOLE)
    with opened(root) as repo:
        names = {stage.name for stage in repo.index.stages}
    assert names == stages_of(*NAMES[:-1]) | ONCE


def test_commands_name_a_script_and_a_cell(stages):
    cells = {f"platform-{a}-{s}" for a in ALGORITHMS for s in NAMES}
    for name, stage in stages.items():
        match = re.fullmatch(r"python (pipeline/[a-z]+\.py)(?: ([a-z0-9_-]+))?", stage.cmd)
        assert match, stage.cmd
        kind = name.split("@")[0].removesuffix("_chain")
        assert match[1] == f"pipeline/{kind}.py"
        assert (ROOT / match[1]).is_file()
        assert match[1] in reads(stage)
        assert match[2] in cells if "@" in name else match[2] is None


def test_commands_are_made_of_names_that_the_settings_check():
    commands = re.findall(r"cmd: (.*)", (ROOT / "dvc.yaml").read_text())
    inserted = {name for command in commands for name in re.findall(r"\$\{(.*?)\}", command)}
    assert inserted == {"item.environment", "item.algorithm", "item.strategy"}


@pytest.mark.parametrize("name", ["x;rm -rf ~", "$(id)", "a b", "a-b", "A", "1a", "", "a\n", "é"])
@pytest.mark.parametrize("path", ["environments", "algorithms", "strategies", "chains"])
def test_names_that_a_shell_could_misread_are_refused(tmp_path, path, name):
    values = changed(params(), {f"study.{path}": [name]})
    target = values["gradients"] if path in ("strategies", "chains") else values["environments"]
    target[name] = next(iter(target.values()))
    with pytest.raises(ValueError, match=rf"study\.{path}|environments|gradients"):
        Settings.model_validate(values)
    file = tmp_path / "params.yaml"
    YAML(typ="safe", pure=True).dump(values, file)
    with pytest.raises(SettingsError, match=rf"study\.{path}\.0: expected"):
        load(file)


def test_no_output_is_declared_twice_and_all_are_results(stages):
    outs = [out.def_path for stage in stages.values() for out in stage.outs]
    assert len(outs) == len(set(outs))
    assert all(re.match(r"(metrics/|models$)", out) for out in outs)
    assert all(out.use_cache for stage in stages.values() for out in stage.outs)


def test_a_stage_that_checks_settings_first_keeps_its_old_results(stages):
    # DVC deletes the outputs of a stage before it runs it, unless they persist. These find out
    # first that params.yaml is wrong.
    for name in {"setup"} | stages_of(*NAMES, kinds=("tune",)):
        assert all(out.persist for out in stages[name].outs), name


# -- What makes them run again -------------------------------------------------------------------

PARAMS = {
    "gradients.reversal.factor": (0.2, stages_of("reversal")),
    f"gradients.{CHAIN}.0.factor": (0.2, set()),  # which this study does not have
    "environments.platform.learner.gamma": (0.8, {"setup", "evaluate"} | CELLS),
    "environments.platform.training.steps": (1, {"setup", "evaluate"} | CELLS),
    "environments.platform.return_threshold": (0.5, {"setup", "evaluate"}),
    "study.seeds": ([1, 2, 3], ONCE | TRAIN),
    "tuning.trials": (1, {"setup"} | TUNE),
    "tuning.share": (1.0, {"setup"} | TUNE),
    "evaluation.episodes": (1, {"setup", "evaluate", "export"}),
}


@pytest.mark.parametrize("path", PARAMS)
def test_a_setting_reruns_what_depends_on_it(complete, path):
    value, expected = PARAMS[path]
    before = (complete / "params.yaml").read_text()
    with checkout.edited(complete / "params.yaml", before):
        checkout.change(complete, {path: value})
        assert status(complete) == expected


SOURCES = {
    "gradients/reversal.py": {"report"} | stages_of("reversal"),  # which quotes its sentence
    "algorithms/mpdqn.py": stages_of(*FEW, algorithms=["mpdqn"]),
    "algorithms/spdqn.py": stages_of(*FEW, algorithms=["spdqn"]),
    "agents/learner.py": CELLS,
    "envs/platform.py": {"setup", "report"},  # and the rest if it is part of the new facts
    "statistics.py": {"evaluate", "report"},
    "reporting/page.py": {"report"},
    "stages/models.py": {"export"},
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_file_reruns_what_runs_it(complete, name):
    with checkout.edited(complete / "src" / "pamdp" / name):
        assert status(complete) == SOURCES[name]


def test_what_results_do_not_depend_on_reruns_nothing(complete):
    names = ("tracking/view.py", "engines/threads.py", "progress.py", "settings.py", "lazy.py")
    before = {name: (complete / "src" / "pamdp" / name).read_bytes() for name in names}
    for name, content in before.items():
        (complete / "src" / "pamdp" / name).write_bytes(content + b"\n# edited\n")
    try:
        assert status(complete) == set()
    finally:
        for name, content in before.items():
            (complete / "src" / "pamdp" / name).write_bytes(content)


def test_new_versions_rerun_the_setup_and_then_what_they_change(complete):
    with checkout.edited(complete / "requirements.lock"):
        assert status(complete) == {"setup"}
    with checkout.edited(complete / "metrics/setup/versions.json", "[]"):
        assert status(complete) == {"setup", "report"} | CELLS


def test_another_environment_code_reruns_its_cells_alone(complete):
    folder = complete / "metrics" / "setup" / "environments"
    with checkout.edited(folder / "platform.json", json.dumps({"source": "2"})):
        assert status(complete) == {"setup", "evaluate", "report"} | CELLS
    other = folder / "other.json"
    other.write_text("{}")
    assert status(complete) == {"setup", "evaluate", "report"}
    other.unlink()


def test_other_best_values_rerun_the_training_of_their_cell(complete):
    path = complete / "metrics" / "tune" / "platform-pdqn-plain" / "best.json"
    tuned, trained = "tune@platform-pdqn-plain", "train@platform-pdqn-plain"
    with checkout.edited(path):
        assert status(complete) == {tuned, trained, "evaluate", "report"}


def test_a_chain_depends_on_its_own_settings_and_on_all_code(stages):
    for name in stages_of(CHAIN):
        values = [d.params for d in stages[name].deps if d.def_path == "params.yaml"]
        assert f"gradients.{CHAIN}" in values[0]
        code = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")}
        assert code <= reads(stages[name])


# -- No dependency is forgotten ------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_depends_on_all_the_code_it_runs(stages, kind):
    root = Path(stages["setup"].repo.root_dir)
    for cell in load(root / "params.yaml").cells:
        chain = "_chain" if cell.strategy_name == CHAIN else ""
        stage = stages[f"{kind}{chain}@{cell.name}"]
        needed = {path.relative_to(ROOT).as_posix() for path in sources(cell)}
        # The environment's own files are in the facts that the setup writes (`describe`).
        own = {path for path in code_of(cell.task) if path.parent.name == "envs"}
        own.discard(PACKAGE / "envs" / "base.py")
        needed -= {path.relative_to(ROOT).as_posix() for path in own}
        assert needed - reads(stage) == set(), stage.name
        assert f"metrics/setup/environments/{cell.environment}.json" in {
            dependency.def_path for dependency in stage.deps
        }


# What is imported on the way and does not change a number, or is one of several and named by cell.
PLUG_INS = re.compile(r"(algorithms|envs|gradients)/(?!base)\w+\.py")
NO_RESULTS = {
    "__init__.py",  # registers environments
    "settings.py",  # reads the values, which are dependencies themselves
    "problems.py",  # words of error messages
    "lazy.py",  # imports TensorFlow
    "checkpoint.py",  # when to write, never what
}


@pytest.mark.parametrize("module", ["training", "tuning"])
def test_all_code_that_computes_a_result_is_known_as_a_source(module):
    cell = load(ROOT / "params.yaml").cells[0]
    known = {path.relative_to(PACKAGE).as_posix() for path in sources(cell)} | {"tuning.py"}
    reached = {path.relative_to(PACKAGE).as_posix() for path in imported(f"pamdp.{module}")}
    unknown = {name for name in reached - known - NO_RESULTS if not PLUG_INS.fullmatch(name)}
    assert unknown == set(), "add these to SHARED_SOURCES in cells.py and to deps in dvc.yaml"


def imported(name: str) -> set[Path]:
    """The files of the package that importing a module runs."""
    found: set[Path] = set()
    waiting = [name]
    while waiting:
        path = located(waiting.pop())
        if path is None or path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                waiting += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
    return found


def located(name: str) -> Path | None:
    path = PACKAGE.parent / name.replace(".", "/")
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if name.startswith("pamdp") and file.is_file()), None)


def test_imports_are_followed():
    assert {PACKAGE / "loops.py", PACKAGE / "agents" / "replay.py"} <= imported("pamdp.training")
    assert located("numpy") is None
    assert located("pamdp.training.train") is None


@pytest.mark.parametrize("stage", sorted(ONCE))
def test_the_other_stages_depend_on_their_own_code(stages, stage):
    own = {
        "setup": {"envs/base.py", "envs/platform.py", "evaluation.py", "seeding.py"},
        "evaluate": {"evaluation.py", "statistics.py", "stages/study.py", "stages/cells.py"},
        "export": {"export.py", "stages/models.py"},
        "report": {"watching.py", "reporting/data.py", "statistics.py", "envs/canvas.py"},
    }[stage]
    assert {f"src/pamdp/{name}" for name in own} <= reads(stages[stage])


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
    assert graph["export"] == {"evaluate"} | TRAIN
    assert graph["report"] == {"setup", "evaluate"} | CELLS

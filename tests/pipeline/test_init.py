"""A study in a repository of one's own, with an installed package and `pamdp init`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest
from ruamel.yaml import YAML

from pamdp import settings
from pamdp.algorithms import ALGORITHMS
from pamdp.files import read_json
from pamdp.provenance import digest
from pamdp.schema import schema_text
from pamdp.stages.facts import STAGES, code_of
from pamdp.strategies.members import MEMBERS
from tests.helpers import ROOT
from tests.pipeline import checkout, small
from tests.pipeline.small import STARTED

PACKAGE = ROOT / "src" / "pamdp"
TEMPLATE = PACKAGE / "template"
CELL = "reach-mpdqn-inverting"
CELL_STAGES = [f"tune@{CELL}", f"train@{CELL}"]
# What is written, and what of the checkout has the same content.
# What a user does with the model, where this package cannot be imported.
ACT = """
import json, sys
sys.modules["pamdp"] = sys.modules["keras"] = None
import gymnasium, numpy as np, tensorflow as tf

policy = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
environment = gymnasium.make("my_environment:Reach-v0", width=0.4)
successes = 0
for seed in range(100):
    (observation, _), over = environment.reset(seed=seed), False
    while not over:
        answer = policy(observation=observation[None].astype(np.float32))
        action, size = int(answer["action"][0]), int(answer["num_parameters"][0])
        parameters = [np.zeros(1, np.float32), np.zeros(0, np.float32)]
        parameters[action] = answer["parameters"].numpy()[0, :size]
        observation, _, *ends, info = environment.step((action, tuple(parameters)))
        over = any(ends)
    successes += info["success"]
json.dump(successes / 100, sys.stderr)
"""
WRITTEN = {
    ".dvc/.gitignore": ".dvc/.gitignore",
    ".dvc/config": ".dvc/config",
    **{name: name for name in checkout.PLOTS},
    ".dvcignore": ".dvcignore",
    ".gitignore": ".gitignore",
    "README.md": "src/pamdp/template/README.md",
    "dvc.yaml": "dvc.yaml",
    "params.schema.json": "params.schema.json",
    "params.yaml": "src/pamdp/template/params.yaml",
    **{path: path for path in (f"pipeline/{stage}.py" for stage in ("setup", *STAGES))},
}
CONSUMER = """
import pamdp

cell = pamdp.cell("platform")
reveal_type(cell)
reveal_type(cell.learner.gamma)
reveal_type(pamdp.train(cell, seed=1))
reveal_type(pamdp.load("model"))
pamdp.train(cell, seeds=1)
pamdp.importlib
"""
UNITS = "START, SCALE = 300, 100  # of what is observed\n"
DVC = """#!/bin/sh
exec python -m dvc "$@"
"""


# -- What is installed -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheels(shared) -> tuple[Path, Path]:
    """A wheel of the checkout, and one of its source distribution."""
    folder = checkout.once(shared / "wheels", build_wheels)
    direct, sdist = (next((folder / name).glob("*.whl")) for name in ("direct", "from sdist"))
    return direct, sdist


def build_wheels(folder: Path) -> None:
    sdist = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(sdist, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tar.gz")
    for source, name in ((ROOT, "direct"), (archive, "from sdist")):
        pip(sys.executable, "wheel", "--no-build-isolation", "-w", str(folder / name), str(source))


def pip(python: Path | str, *arguments: str) -> None:
    """Runs pip for an interpreter, without a network."""
    command = [sys.executable, "-m", "pip", "--python", str(python), *arguments]
    subprocess.run([*command, "--no-deps", "--no-index", "--quiet"], check=True)


def packed(wheel: Path) -> dict[str, bytes]:
    """The files of the package in a wheel."""
    with ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if name.startswith("pamdp/")}


def test_both_wheels_have_the_files_of_the_package_and_no_others(wheels) -> None:
    direct, from_sdist = map(packed, wheels)
    links = (TEMPLATE / "pipeline", TEMPLATE / "dvc" / "plots")  # which `rglob` does not follow
    folders = (PACKAGE, *links)
    files = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    expected = {f"pamdp/{path.relative_to(PACKAGE)}" for path in files if path.suffix != ".pyc"}
    assert direct.keys() == expected
    assert from_sdist == direct


def test_a_wheel_has_the_content_of_what_the_template_links_to(wheels) -> None:
    files = packed(wheels[1])
    names = {"dvc.yaml": "stages.yaml"}
    for path, source in WRITTEN.items():
        name = names.get(path, re.sub(r"(^|/)\.", r"\1", path))
        if path != "params.schema.json":  # made when it is written
            assert files[f"pamdp/template/{name}"] == (ROOT / source).read_bytes(), path


@pytest.fixture(scope="module")
def bin_folder(shared, wheels) -> Path:
    """Where the commands of a fresh environment are that the wheel is installed in."""
    return checkout.once(shared / "fresh", lambda folder: install(folder, wheels[0])) / "bin"


def install(folder: Path, wheel: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip(folder / "bin" / "python", "install", str(wheel))
    # What it depends on is there already. Python reads no .pth files in a folder that one names,
    # so that the one of an editable installation stays unread.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    dvc = folder / "bin" / "dvc"
    dvc.write_text(DVC)
    dvc.chmod(0o755)


def succeed(folder: Path, bin_folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the fresh environment."""
    return checkout.succeed(folder, *command, **variables(folder, bin_folder))


def variables(folder: Path, bin_folder: Path) -> dict[str, str]:
    return small.compiled(folder) | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": "",  # counts as none
        "PAMDP_TRACKING": "off",
    }


def test_the_fresh_environment_has_nothing_of_the_checkout(bin_folder, tmp_path) -> None:
    script = "import json, sys, pamdp; print(json.dumps([pamdp.__file__, *sys.path]))"
    file, *paths = json.loads(succeed(tmp_path, bin_folder, "python", "-c", script).stdout)
    assert Path(file).is_relative_to(bin_folder.parent)
    dependencies = sysconfig.get_path("purelib")
    assert dependencies in paths
    assert [p for p in paths if Path(p).is_relative_to(ROOT) and p != dependencies] == []
    path = variables(tmp_path, bin_folder)["PATH"]
    for command in ("python", "pamdp", "dvc"):
        assert shutil.which(command, path=path) == str(bin_folder / command)


def test_a_type_checker_sees_the_types_of_an_installation(bin_folder, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(CONSUMER)
    checker = [sys.executable, "-m", "pyright", "--pythonpath", str(bin_folder / "python")]
    done = subprocess.run(
        [*checker, "--outputjson", "mine.py"], cwd=tmp_path, capture_output=True, text=True
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    told = [re.findall(r'is "(\w+)', each["message"]) for each in found if "rule" not in each]
    assert told == [["Recipe"], ["float"], ["Result"], ["Model"]]
    # What a package imports for itself is its own affair, where the package says it is typed.
    rules = [each["rule"] for each in found if "rule" in each]
    assert rules == ["reportCallIssue", "reportPrivateImportUsage"]


# -- `pamdp init` ----------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", ["params.yaml", "pipeline/train.py", "dvc.yaml"])
def test_it_refuses_a_folder_with_one_of_its_files_and_writes_nothing(
    bin_folder, tmp_path, taken
) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).write_text("mine")
    done = checkout.run(tmp_path, "pamdp", "init", **variables(tmp_path, bin_folder))
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: expected a folder without files of a study, received one with ")
    assert f"with {taken}; nothing was written" in line
    assert checkout.contents(tmp_path, ".") == {taken: b"mine"}


def test_what_a_repository_has_of_its_own_stays_and_what_it_lacks_is_told(
    bin_folder, tmp_path
) -> None:
    for name in ("README.md", ".gitignore"):
        (tmp_path / name).write_text("mine")
    done = succeed(tmp_path, bin_folder, "pamdp", "init")
    written = checkout.contents(tmp_path, ".")
    assert written.keys() == WRITTEN.keys()
    assert {written[name] for name in ("README.md", ".gitignore")} == {b"mine"}
    assert "README.md was there and stays as it is." in done.stdout
    told = {line.strip() for line in done.stdout.splitlines()}
    assert {*(ROOT / ".gitignore").read_text().split("\n")} <= told | {""}


def test_it_makes_the_folder_that_it_is_given(bin_folder, tmp_path) -> None:
    done = succeed(tmp_path, bin_folder, "pamdp", "init", "deep/study")
    assert checkout.contents(tmp_path / "deep/study", ".").keys() == WRITTEN.keys()
    steps = [line.strip() for line in done.stdout.splitlines()[2:]]
    assert steps == ["cd deep/study", "git init", "pamdp study"]


def test_the_template_is_a_valid_study() -> None:
    study = settings.load(TEMPLATE / "params.yaml")
    cells = [str(cell.name) for cell in study.cells]
    assert cells == ["platform-mpdqn-plain", "platform-mpdqn-inverting"]
    for named, kinds in ((study.algorithms, ALGORITHMS), (study.gradients, MEMBERS)):
        assert named.keys() <= kinds.keys()
        assert {name: each.kind for name, each in named.items()} == {name: name for name in named}
    # So are the tasks that a comment and the README show.
    for name in ("params.yaml", "README.md"):
        (line,) = re.findall(r"task: (\{kind: gym.*\})$", (TEMPLATE / name).read_text(), re.M)
        values = YAML(typ="safe").load(TEMPLATE / "params.yaml")
        values["environments"]["platform"]["task"] = YAML(typ="safe").load(line)
        task = settings.Settings.model_validate(values).environments["platform"].task
        assert (task.kind, task.id) == ("gymnasium", "my_environment:Reach-v0")


# -- A study of an environment of one's own --------------------------------------------------------


@pytest.fixture(scope="module")
def study(shared, bin_folder) -> Path:
    """A study in a repository of its own, run to the end. Do not change anything in it."""
    return checkout.once(shared / "own repository", lambda folder: build(folder, bin_folder))


def build(folder: Path, bin_folder: Path) -> None:
    folder.mkdir()
    checkout.git(folder, "init", "--quiet")
    small.keep(folder, "init", succeed(folder, bin_folder, "pamdp", "init"))
    checkout.git(folder, "add", "--all")
    small.log(folder, "files").write_text(checkout.git(folder, "ls-files"))
    text = (ROOT / "tests" / "user_environment.py").read_text()
    for old, new in (
        ("300 + 100 * self.target", "START + SCALE * self.target"),
        ("import numpy as np\n", "import numpy as np\nfrom my_units import SCALE, START\n"),
    ):
        assert text.count(old) == 1, f"{old!r}: edit this test"
        text = text.replace(old, new)
    (folder / "my_environment.py").write_text(text)
    (folder / "my_units.py").write_text(UNITS)
    platform = checkout.settings(folder)["environments"]["platform"]
    reach = {
        "task": {"kind": "gymnasium", "id": "my_environment:Reach-v0", "arguments": {"width": 0.4}},
        "learner": platform["learner"] | {"learning_starts": 100, "batch_size": 32},
        "training": {"steps": 1500, "report_every": 500, "evaluation_episodes": 20},
    }
    changes = {
        "study.environments": ["reach"],
        "study.strategies": ["inverting"],
        "study.seeds": [1],
        "environments.reach": platform | reach,
        "tuning.trials": 0,
        "evaluation.episodes": 50,
    }
    checkout.change(folder, changes)
    small.keep(folder, "repro", succeed(folder, bin_folder, "dvc", "repro"))
    checkout.commit(folder)


def test_it_writes_a_study(study) -> None:
    assert small.log(study, "files").read_text().split() == sorted(WRITTEN)
    changed = ("params.yaml",)
    for path, source in WRITTEN.items():
        if path not in changed:
            assert (study / path).read_bytes() == (ROOT / source).read_bytes(), path
    assert (study / "params.schema.json").read_text() == schema_text()
    printed = small.printed(study, "init.stdout").splitlines()
    assert [line.strip() for line in printed[1:]] == [
        "Run it, in about two minutes:",
        "pamdp study",
    ]


def test_every_stage_runs_to_the_report(study) -> None:
    stages = ["setup", *CELL_STAGES, "evaluate", "export", "report"]
    assert STARTED.findall(small.printed(study, "repro.stdout")) == stages
    results = (study / "metrics/report/results.md").read_text()
    mean = read_json(study / "metrics/evaluate/summary.json")[CELL]["return"]["mean"]
    assert f"| `inverting` | **{mean:.3f}** " in results
    assert (study / "metrics/report/index.html").is_file()
    # All that was made is ignored by git, but for dvc.lock and what it keeps of the report.
    assert checkout.git(study, "status", "--porcelain") == ""
    tracked = {*checkout.git(study, "ls-files").split()}
    kept = {path for path in tracked if path.startswith("results/")}
    assert "results/results.md" in kept
    own = {"dvc.lock", "times.json", "my_environment.py", "my_units.py"}
    assert tracked - kept == {*WRITTEN} | own


def test_installed_code_has_the_digests_of_the_checkout(study) -> None:
    for stage in STAGES:
        found = read_json(study / f"metrics/setup/code/{stage}.json")
        assert found == digest(code_of(stage))


def test_the_model_acts_in_the_environment_without_the_package(study, bin_folder) -> None:
    script = ("python", "-c", ACT, f"models/{CELL}")
    done = succeed(study, bin_folder, *script)
    share = json.loads(done.stderr.splitlines()[-1])
    summary = read_json(study / "metrics/evaluate/summary.json")[CELL]
    random = read_json(study / "metrics/setup/environments/reach.json")["random_policy"]
    assert summary["return"]["mean"] > random["return_mean"] + 0.5
    assert share == pytest.approx(summary["success"]["mean"], abs=0.15)  # 50 episodes, and 100


def test_an_edit_of_a_module_that_it_imports_reruns_its_cells(study, bin_folder, tmp_path) -> None:
    folder = shutil.copytree(study, tmp_path / "copy", symlinks=True)
    stale = {"setup", *CELL_STAGES, "evaluate", "export", "report"}
    assert would_run(folder, bin_folder, UNITS.replace("100", "50")) == stale
    assert would_run(folder, bin_folder, f"# A comment.\n{UNITS}") == {"setup"}


def would_run(folder: Path, bin_folder: Path, units: str) -> set[str]:
    """The stages that would run after `setup` has seen other units; it is always run itself."""
    with checkout.edited(folder / "my_units.py", units):
        succeed(folder, bin_folder, "python", "pipeline/setup.py")
        return {*STARTED.findall(succeed(folder, bin_folder, "dvc", "repro", "--dry").stdout)}

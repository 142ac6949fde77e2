"""Setup refuses what a study cannot be run with, and writes what its results depend on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pamdp.envs import platform
from pamdp.records import read_json, write_json
from pamdp.settings import Settings, SettingsError
from pamdp.stages import runs, study
from tests.helpers import ROOT, changed, params, settings
from tests.unit.two_cells import PLAIN, small


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.setenv("PAMDP_WORKERS", "1")


LOCK = """\
# written by a tool
numpy==2.4.6 \\
    --hash=sha256:1111
    # via somebody==1.0
optuna==5.0.0 ; python_version < "4" \\
    --hash=sha256:2222
pywin32==306 ; sys_platform == "win32" \\
    --hash=sha256:3333
Some_Tool==1.2.post1
"""


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A lock file, and what is installed: change it at will."""
    installed = {"numpy": "2.4.6", "optuna": "5.0.0", "Some_Tool": "1.2.post1"}

    def version(name: str) -> str:
        if name not in installed:
            raise study.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(study, "version", version)
    (tmp_path / "requirements.lock").write_text(LOCK)
    return SimpleNamespace(path=tmp_path / "requirements.lock", installed=installed)


def test_the_locked_versions_are_accepted(lock):
    study.check_versions(lock.path)


def test_all_other_versions_are_listed(lock):
    lock.installed.update({"numpy": "2.4.5", "Some_Tool": "1.2"})
    with pytest.raises(SettingsError) as error:
        study.check_versions(lock.path)
    assert str(error.value).splitlines() == [
        "the installed packages are not those of requirements.lock:",
        "  numpy: expected 2.4.6, found 2.4.5",
        "  Some_Tool: expected 1.2.post1, found 1.2",
        "run `make study`, or `pip install --require-hashes -r requirements.lock`",
    ]


def test_a_tool_may_be_missing_and_what_computes_may_not(lock):
    del lock.installed["Some_Tool"]
    study.check_versions(lock.path)
    del lock.installed["optuna"]
    with pytest.raises(SettingsError, match=r"  optuna: expected 5\.0\.0, found none\n"):
        study.check_versions(lock.path)


def test_the_lock_has_all_that_results_come_from():
    pinned = {requirement.name for requirement in study._pinned(ROOT / "requirements.lock")}
    assert pinned >= set(study.RESULT_PACKAGES)


def test_a_described_environment():
    benchmark = settings().environments["platform"]
    facts = study.describe(benchmark)
    random = facts.pop("random_policy")
    folder = Path(platform.__file__).parent
    code = [folder / f"{name}.py" for name in ("base", "canvas", "platform")]
    code.append(folder.parent / "structure.py")
    assert facts == {
        "id": "pamdp/Platform-v0",
        "source": hashlib.sha256(b"".join(file.read_bytes() for file in code)).hexdigest(),
        "distributions": {},
        "max_episode_steps": 200,
        "observation": {
            "shape": [9],
            "low": benchmark.task.observation_low.tolist(),
            "high": benchmark.task.observation_high.tolist(),
        },
        "actions": [
            {"name": "run", "low": [0.0], "high": [30.0]},
            {"name": "hop", "low": [0.0], "high": [720.0]},
            {"name": "leap", "low": [0.0], "high": [430.0]},
        ],
    }
    assert random["episodes"] == 20_000
    assert 0.1 < random["return_mean"] < 0.4
    assert 0.05 < random["return_std"] < 0.3
    assert 1 < random["length_mean"] < 5
    json.dumps(facts)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("nonsense", "failed in make:\ngymnasium.error.NameNotFound: Environment `nonsense`"),
        ("nomodule:X-v0", "failed in make:\nModuleNotFoundError: No module named 'nomodule'"),
        ("CartPole-v1", "CartPole-v1: expected the action space Tuple"),
    ],
)
def test_a_refused_environment_is_named(tmp_path, monkeypatch, identifier, expected):
    monkeypatch.setattr(study, "check_versions", lambda lock: None)
    task = {"kind": "gymnasium", "id": identifier}
    with pytest.raises(SettingsError) as error:
        study.set_up(small(environments__platform__task=task), tmp_path)
    assert str(error.value).startswith("environments.platform.task: ")
    assert expected in str(error.value)
    assert not list(tmp_path.glob("metrics/setup/environments/*"))


@pytest.fixture
def set_up(tmp_path, monkeypatch):
    """Setup in a folder, of all but what takes long."""
    monkeypatch.setattr(study, "check_versions", lambda lock: None)
    monkeypatch.setattr(study, "describe", lambda benchmark: {"kind": benchmark.task.kind})
    return lambda values: study.set_up(values, tmp_path)


def test_setup_writes_what_results_depend_on(tmp_path, set_up):
    set_up(small())
    folder = tmp_path / "metrics" / "setup"
    assert read_json(folder / "environments" / "platform.json") == {"kind": "platform"}
    packages = read_json(folder / "versions.json")["packages"]
    assert set(packages) == {"gymnasium", "numpy", "optuna", "tensorflow"}
    assert packages["numpy"] == np.__version__
    assert runs.versions(tmp_path) == {"packages": packages}


def test_setup_describes_what_the_study_uses(tmp_path, set_up):
    values = params()
    task = {"kind": "sparse", "task": {"kind": "platform"}}
    block = changed(values["environments"]["platform"], {"task": task})
    values["environments"] |= {"paid_late": block, "unused": block}
    values["study"]["environments"] = ["paid_late"]
    set_up(small())
    set_up(Settings.model_validate(values))
    (only,) = (tmp_path / "metrics" / "setup" / "environments").iterdir()
    assert (only.name, read_json(only)) == ("paid_late.json", {"kind": "sparse"})


def test_setup_removes_cells_that_the_study_no_longer_has(tmp_path, set_up):
    for stage in ("tune", "train", "evaluate"):
        for name in (PLAIN, "platform-mpdqn-reversal"):
            write_json(tmp_path / "metrics" / stage / name / "record.json", {})
    set_up(small())
    kept = {path.parent.relative_to(tmp_path / "metrics") for path in tmp_path.rglob("record.json")}
    assert {path.as_posix() for path in kept} == {
        f"tune/{PLAIN}",
        f"train/{PLAIN}",
        f"evaluate/{PLAIN}",
        "evaluate/platform-mpdqn-reversal",
    }


def test_an_environment_whose_code_has_changed_is_described_anew(tmp_path):
    task = {"kind": "gymnasium", "id": "tests.user_environment:Reach-v0"}
    values = small(environments__platform__task=task)
    path = tmp_path / "metrics" / "setup" / "environments" / "platform.json"
    study.forget_changed(values, tmp_path)  # nothing is there yet
    write_json(path, {"source": study._digest(values.environments["platform"].task)})
    study.forget_changed(values, tmp_path)
    assert path.is_file()
    write_json(path, {"source": "that of other code"})
    study.forget_changed(small(), tmp_path)  # another environment stands there now
    assert path.is_file()
    study.forget_changed(values, tmp_path)
    assert not path.is_file()

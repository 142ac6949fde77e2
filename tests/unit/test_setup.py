"""Setup refuses what a study cannot be run with, and writes what its results depend on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamdp import provenance
from pamdp.base.errors import PamdpError, SettingsError
from pamdp.base.task import Task
from pamdp.checkout import Checkout
from pamdp.files import read_json, write_json
from pamdp.settings import Settings
from pamdp.stages import setup
from tests.helpers import ROOT, changed, params, settings
from tests.unit.two_cells import PLAIN, small

# -- Environments ----------------------------------------------------------------------------------


def test_a_described_environment(tmp_path):
    task = settings().environments["platform"].task
    setup.set_up(Checkout(small(), tmp_path))
    facts = read_json(tmp_path / "metrics" / "setup" / "environments" / "platform.json")
    random = facts.pop("random_policy")
    assert facts == {
        "id": "pamdp/Platform-v0",
        "source": provenance.digest(task.sources)["source"],
        "distributions": {},
        "max_episode_steps": 200,
        "observation": {
            "shape": [9],
            "low": task.observation_low.tolist(),
            "high": task.observation_high.tolist(),
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


def test_the_code_of_an_environment_is_what_its_behaviour_follows_from():
    files = provenance.follow(settings().environments["platform"].task.sources).files
    ours = {name.removeprefix("pamdp.") for name in files}
    assert ours >= {"base.component", "base.environment", "envs.canvas", "envs.platform"}
    assert not {name for name in ours if name.startswith(("algorithms", "learning", "stages"))}


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("nonsense", "failed in make:\ngymnasium.error.NameNotFound: Environment `nonsense`"),
        ("nomodule:X-v0", "failed in make:\nModuleNotFoundError: No module named 'nomodule'"),
        ("CartPole-v1", "CartPole-v1: expected the action space Tuple"),
    ],
)
def test_a_refused_environment_is_named(tmp_path, identifier, expected):
    task = {"kind": "gymnasium", "id": identifier}
    with pytest.raises(SettingsError) as error:
        setup.set_up(Checkout(small(environments__platform__task=task), tmp_path))
    assert str(error.value).startswith("environments.platform.task: ")
    assert expected in str(error.value)
    assert not list(tmp_path.glob("metrics/setup/environments/*"))


WIDE = {
    "kind": "gymnasium",
    "id": "tests.user_environment:Wide-v0",
    "parameters": {3: ["push"], 4: []},
}


def test_what_is_taken_for_granted_of_an_environment_is_told(tmp_path, capsys):
    """What each action drives, and which bounds are not what they seem."""
    setup.set_up(Checkout(small(environments__platform__task=WIDE), tmp_path))
    facts = read_json(tmp_path / "metrics" / "setup" / "environments" / "platform.json")
    met = facts["seen"]
    assert (met["low"][1], met["high"][1]) == (0.0, 5.0)
    assert 1.7e9 - 1 <= met["low"][2] < 1.7e9 - 0.9 < 1.7e9 + 0.9 < met["high"][2] <= 1.7e9 + 1
    *printed, changed, _, estimate = capsys.readouterr().out.splitlines()
    assert changed == "setup: 2 cells"  # it looks for the first time
    assert estimate.startswith("setup: the whole study takes about ")
    assert printed[:3] == [
        "setup: measuring platform",
        "setup: platform: action 3 (push) drives box push, [-1.0] to [1.0]",
        "setup: platform: action 4 (action_1) has no parameters",
    ]
    remarks = facts["observation"]["remarks"]
    assert [line.removeprefix("setup: platform: ") for line in printed[3:]] == remarks
    assert [line.split(" and ")[-1].split(",")[0] for line in remarks[:2]] == [
        "lies outside of its bounds",
        "fills less than 1/100 of its bounds",
    ]
    assert "observation[2], was met from 16999999" in remarks[2]
    assert facts["observation"]["high"][:2] == [1.0, float(np.finfo(np.float32).max)]
    assert [action["drives"] for action in facts["actions"]] == [["push"], []]


def test_many_actions_that_do_the_same_are_told_in_a_line():
    def action(number: int, box: str) -> dict[str, Any]:
        return {
            "name": f"action_{number}",
            "low": [0.0],
            "high": [1.0],
            "number": number,
            "drives": [box],
        }

    same = [action(number, "go") for number in range(5, 2005)]
    told = [*setup.driven({"actions": [*same, action(2005, "turn")]})]
    assert told == [
        "each of the actions 5 to 2004 drives box go, [0.0] to [1.0]",
        "action 2005 (action_2005) drives box turn, [0.0] to [1.0]",
    ]
    told = [*setup.driven({"actions": [action(number, str(number)) for number in range(2000)]})]
    assert len(told) == 13
    assert told[-1] == "... and so on, 2,000 actions in all"


def test_many_remarks_are_cut_where_they_are_printed_and_not_where_they_are_kept():
    described = {"actions": [], "observation": {"remarks": [f"remark {n}" for n in range(25)]}}
    told = list(setup._told(described))
    assert told[:10] == described["observation"]["remarks"][:10]
    assert told[10:] == ["and 15 more, which its description in metrics/setup/environments has"]


# -- Facts -----------------------------------------------------------------------------------------


@pytest.fixture
def set_up(tmp_path, monkeypatch) -> Callable[..., list[str]]:
    """Setup in a folder, of all but what takes long; gives the kinds that were measured."""
    measured: list[str] = []

    def describe(task: Task, tell: Any) -> dict[str, Any]:
        measured.append(task.kind)
        sizes = {"observation": {"shape": [9]}, "actions": [{"name": "a", "low": [0], "high": [1]}]}
        lengths = {"max_episode_steps": 200, "random_policy": {"length_mean": 5.0}}
        return {"kind": task.kind, **sizes, **lengths}

    def set_up(values: Settings | None = None) -> list[str]:
        measured.clear()
        setup.set_up(Checkout(values or small(), tmp_path))
        return [*measured]

    monkeypatch.setattr(setup, "describe", describe)
    monkeypatch.setattr(setup, "foretold", lambda *_: [])
    return set_up


def facts(root: Path) -> dict[str, Any]:
    """What setup wrote, by name."""
    folder = root / "metrics" / "setup"
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).with_suffix("").as_posix(): read_json(p) for p in paths}


@pytest.fixture
def edited(monkeypatch) -> Callable[[str], None]:
    """Gives a module of ours other code, as far as digests see."""
    code, names = provenance.code, set[str]()

    def other(path: Path) -> bytes:
        changed = any(path == ROOT / f"src/pamdp/{name}.py" for name in names)
        return code(path) + (b"changed" if changed else b"")

    monkeypatch.setattr(provenance, "code", other)
    return names.add


def test_setup_writes_what_results_depend_on(tmp_path, set_up):
    set_up()
    found = facts(tmp_path)
    assert set(found) == {
        "algorithms/mpdqn",
        *(f"code/{stage}" for stage in ("tune", "train", "evaluate", "export", "report")),
        "comparisons",
        "descriptions",
        "environments/platform",
        "measured",
        "settings/platform",
        "strategies/inverting",
        "strategies/plain",
        "thresholds",
        "tuning/platform-mpdqn-inverting",
        "tuning/platform-mpdqn-plain",
        "versions",
    }
    packages = found["versions"]["packages"]
    assert set(packages) == {"gymnasium", "numpy", "optuna", "tensorflow"}
    assert packages["numpy"] == np.__version__
    assert found["environments/platform"]["kind"] == "platform"
    platform = params()["environments"]["platform"]
    assert found["thresholds"] == {"platform": platform.pop("return_threshold")}
    assert found["settings/platform"].keys() == platform.keys()
    assert found["settings/platform"]["task"] == {"kind": "platform", "version": "v0", "noise": 1.0}
    assert found["settings/platform"]["training"] == platform["training"]
    for name in ("algorithms/mpdqn", "strategies/inverting", "strategies/plain"):
        assert set(found[name]) == {"kind", "source", "distributions"}
        assert (found[name]["kind"], len(found[name]["source"])) == (name.split("/")[1], 64)
    words = found["descriptions"]
    assert words["algorithms"]["mpdqn"]["title"] == "MP-DQN"
    assert set(words["strategies"]) == {"plain", "inverting"}
    assert set(words["strategies"]["plain"]) == {"kind", "title", "rule", "reference"}


def test_facts_have_the_names_of_the_settings(tmp_path, set_up):
    own = {"algorithms__mine": {"kind": "spdqn"}, "gradients__strong": {"kind": "zeroing"}}
    set_up(small(study__algorithms=["mine"], study__strategies=["strong"], **own))
    found = facts(tmp_path)
    assert found["algorithms/mine"]["kind"] == "spdqn"
    assert found["strategies/strong"]["kind"] == "zeroing"
    assert found["descriptions"]["algorithms"]["mine"]["title"] == "SP-DQN"


def test_setup_describes_what_the_study_uses(tmp_path, set_up):
    values = params()
    task = {"kind": "sparse", "task": {"kind": "platform"}}
    block = changed(values["environments"]["platform"], {"task": task})
    values["environments"] |= {"paid_late": block, "unused": block}
    values["study"]["environments"] = ["paid_late"]
    assert set_up(small()) == ["platform"]
    assert set_up(Settings.model_validate(values)) == ["sparse"]
    (only,) = (tmp_path / "metrics" / "setup" / "environments").iterdir()
    assert (only.name, read_json(only)["kind"]) == ("paid_late.json", "sparse")


def test_facts_of_what_the_study_no_longer_has_are_removed(tmp_path, set_up):
    set_up(small(**{"study.algorithms": ["mpdqn", "pdqn"]}))
    before = set(facts(tmp_path))
    set_up(small(**{"study.strategies": ["plain"]}))
    gone = {name for name in before - set(facts(tmp_path)) if not name.startswith("tuning/")}
    assert gone == {"algorithms/pdqn", "strategies/inverting"}
    assert "tuning/platform-pdqn-plain" not in facts(tmp_path)


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


def test_unchanged_facts_are_not_written_again(tmp_path, set_up):
    def written() -> dict[Path, tuple[int, int]]:
        stats = {path: path.stat() for path in tmp_path.rglob("*.json")}
        return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in stats.items()}

    for kind, changes in (("plain", None), ("plain", set()), ("zeroing", {"mine", "descriptions"})):
        before = written()
        set_up(small(study__strategies=["plain", "mine"], gradients__mine={"kind": kind}))
        if changes is not None:
            assert {path.stem for path, at in written().items() if before[path] != at} == changes


# -- What is measured anew -------------------------------------------------------------------------


def test_an_unchanged_environment_is_not_measured_again(tmp_path, set_up, capsys):
    assert set_up() == ["platform"]
    assert capsys.readouterr().out.splitlines() == ["setup: measuring platform", "setup: 2 cells"]
    before = facts(tmp_path)
    assert set_up() == []
    assert set_up(small(study__seeds=[3])) == []
    unchanged = "setup: 2 cells; since it last looked, nothing that cells depend on has changed"
    assert capsys.readouterr().out.splitlines() == [unchanged] * 2
    assert facts(tmp_path) == before
    set_up(small(environments__platform__learner__gamma=0.5))
    changed = "setup: 2 cells; since it last looked, these have changed: settings/platform"
    assert capsys.readouterr().out.splitlines() == [changed]


def test_what_it_has_said_in_a_study_it_does_not_say_again(tmp_path, set_up, capsys, monkeypatch):
    set_up()
    capsys.readouterr()
    monkeypatch.setenv(setup.SAID, "1")
    set_up()
    assert capsys.readouterr().out == ""


def test_what_was_edited_since_the_study_began_is_not_left_to_dvc(set_up, monkeypatch):
    set_up()
    monkeypatch.setenv(setup.SAID, "1")
    edited = small(environments__platform__learner__gamma=0.5)
    with pytest.raises(PamdpError, match="received other settings/platform, edited since"):
        set_up(edited)
    set_up(edited)  # the same command again


def test_without_anything_to_measure_tensorflow_is_not_loaded(tmp_path, set_up):
    set_up()
    program = (
        "import sys\n"
        "from pamdp.stages import setup\n"
        "from tests.unit.test_setup import Checkout, Path, small\n"
        "setup.set_up(Checkout(small(), Path(sys.argv[1])))\n"
        "print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_another_setting_measures_anew(set_up):
    set_up()
    assert set_up(small(environments__platform__task__noise=0.5)) == ["platform"]
    assert set_up(small(environments__platform__task={"kind": "catch_point"})) == ["catch_point"]


def test_facts_that_are_gone_are_measured_anew(tmp_path, set_up):
    set_up()
    (tmp_path / "metrics/setup/environments/platform.json").unlink()
    assert set_up() == ["platform"]


def test_other_versions_measure_anew(set_up, monkeypatch):
    set_up()
    monkeypatch.setattr("pamdp.stages.facts.version", lambda name: "0")
    assert set_up() == ["platform"]


@pytest.mark.parametrize("module", ["envs/platform", "base/environment", "learning/rollout"])
def test_other_code_of_an_environment_or_of_what_measures_it_measures_anew(set_up, edited, module):
    set_up()
    edited("envs/goal")
    assert set_up() == []
    edited(module)
    assert set_up() == ["platform"]


def test_an_environment_of_the_users_own_is_measured_anew_when_its_code_changes(
    tmp_path, set_up, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "lamp_of_mine.py"
    path.write_text(
        "import gymnasium\n"
        "class Lamp(gymnasium.Env): pass\n"
        "gymnasium.register('Lamp-v0', Lamp, max_episode_steps=8)\n"
    )
    task = {"kind": "gymnasium", "id": "lamp_of_mine:Lamp-v0"}
    values = small(environments__platform__task=task)
    assert set_up(values) == ["gymnasium"]
    assert set(facts(tmp_path)["environments/platform"]["distributions"]) == {"gymnasium"}
    path.write_text(path.read_text() + "# a comment\n")
    assert set_up(values) == []
    path.write_text(path.read_text() + "SIZE = 2\n")
    assert set_up(values) == ["gymnasium"]


# -- Which facts follow from which code ------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("algorithms/mpdqn", {"algorithms/mpdqn"}),
        ("strategies/inverting", {"strategies/inverting", "strategies/both"}),
        ("strategies/reversal", {"strategies/both"}),
        ("strategies/chain", {"strategies/both"}),
        ("stages/train", {"code/train"}),
        ("tuning/study", {"code/tune"}),
        ("stages/watch", set()),
        ("engines/processes", {"code/export"}),
        ("engines/threads", set()),
    ],
)
def test_other_code_changes_the_facts_that_follow_from_it(
    tmp_path, set_up, edited, module, changes
):
    both = [{"kind": "reversal", "factor": 0.1, "scope": "taken"}, {"kind": "inverting"}]
    values = small(study__strategies=["plain", "inverting", "both"], gradients__both=both)
    set_up(values)
    before = facts(tmp_path)
    edited(module)
    assert set_up(values) == []
    after = facts(tmp_path)
    assert {name for name in before | after if before.get(name) != after.get(name)} == changes


def test_an_environment_that_ends_its_process_is_an_error(tmp_path):
    identifier = "tests.unit.misbehaving:MisFaulty-v0"
    task = {"kind": "gymnasium", "id": identifier, "arguments": {"case": "ends 0"}}
    said = r"^environments\.platform\.task: measure.* ended its process \(exit code 0\)"
    with pytest.raises(SettingsError, match=said):
        setup.set_up(Checkout(small(environments__platform__task=task), tmp_path))
    assert not list(tmp_path.rglob("*.json"))


def test_what_gymnasium_warns_of_is_told_by_the_name_in_the_settings(tmp_path, capsys):
    task = {"kind": "gymnasium", "id": "tests.unit.misbehaving:OddChance-v0"}
    setup.set_up(Checkout(small(environments__platform__task=task), tmp_path))
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == [
        "setup: measuring platform",
        "setup: platform: not reproducible, as it is registered as nondeterministic: another run "
        "will give other results",
    ]

"""Which code a stage, a plug-in or a user's module depends on."""

import ast
import pkgutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import pamdp
from pamdp import provenance
from pamdp.algorithms import ALGORITHMS
from pamdp.base.component import modules_of
from pamdp.envs import ENVIRONMENTS
from pamdp.learning.cell import Cell
from pamdp.provenance import STOPS, digest, follow
from pamdp.strategies import STRATEGIES
from tests.helpers import algorithm_of, cell, strategy_of

MODULES = {info.name for info in pkgutil.walk_packages(pamdp.__path__, "pamdp.")}
STAGES = ("tune", "train", "evaluate", "export", "report")


def names(*modules: str) -> set[str]:
    """Of ours, without `pamdp.`."""
    return {name.removeprefix("pamdp.") for name in follow(modules).files}


# -- A user's own code -----------------------------------------------------------------------------

OWN = {
    "__init__": "from {package} import constants\n",
    "env": (
        "import helper_of_{package}\n"
        "import json, os.path\n"
        "import numpy as np\n"
        "from . import drawing, missing\n"
        "from .dynamics import step\n"
        "from pamdp.base.spaces import ActionSpec\n"
        "def make():\n"
        "    from {package}.inner.late import late\n"
        "    import scipy.special\n"
    ),
    "constants": "X = 1\n",
    "drawing": "",
    "dynamics": "if True:\n    from .inner import STEP as step\n",
    "inner/__init__": "from ..sibling import STEP\n",
    "inner/late": "from ..other.deep import late\n",
    "other/deep": "late = 1\n",  # no __init__ above it
    "sibling": "from . import env  # around in a circle\nSTEP = 1\n",
    "unused": "from . import unused_too\n",
    "unused_too": "",
}


def own(folder: Path, package: str) -> str:
    """Writes a user's package, with a module beside it; the name of its first module."""
    for name, text in OWN.items():
        path = folder / package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{package}", package))
    (folder / f"helper_of_{package}.py").write_text("import pickle\n")
    return f"{package}.env"


def test_a_users_module_is_followed_to_all_that_it_imports(tmp_path, monkeypatch) -> None:
    """Relatively, within functions, in circles; of packages what importing them runs."""
    monkeypatch.syspath_prepend(tmp_path)
    found = follow({own(tmp_path, "lab_of_imports")})
    mine = {name: path for name, path in found.files.items() if not name.startswith("pamdp.")}
    expected = {f"lab_of_imports.{name.replace('/', '.')}" for name in OWN}
    expected -= {f"lab_of_imports.{name}" for name in ("unused", "unused_too")}
    expected = {name.removesuffix(".__init__") for name in expected}
    assert set(mine) == expected | {"helper_of_lab_of_imports"}
    for name, path in mine.items():
        inside = path.relative_to(tmp_path).with_suffix("").as_posix()
        assert inside.removesuffix("/__init__").replace("/", ".") == name
    assert found.packages == {"numpy", "scipy"}
    assert "pamdp.base.spaces" in found.files


@pytest.mark.parametrize(
    ("edited", "changes"), [(name, "unused" not in name) for name in (*OWN, "../helper_of_")]
)
def test_the_digest_changes_with_what_is_followed(tmp_path, monkeypatch, edited, changes) -> None:
    package = f"lab_of_{'_'.join(edited.split('/')).strip('._')}"
    monkeypatch.syspath_prepend(tmp_path)
    module = own(tmp_path, package)
    before = digest({module})
    end = package if edited.endswith("helper_of_") else ""
    path = tmp_path / package / f"{edited}{end}.py"
    with path.open("a") as file:
        file.write("# a comment\n")
    provenance._imported.cache_clear()  # edited within one tick of the clock
    provenance._code.cache_clear()
    assert digest({module}) == before
    with path.open("a") as file:
        file.write("Y = 1\n")
    provenance._imported.cache_clear()
    provenance._code.cache_clear()
    assert (digest({module}) != before) == changes


def test_what_is_no_module_is_left_out() -> None:
    assert follow({"no_such_module", "json", "sys", "pamdp.no_such_module"}).files == {}
    assert follow(set()) == ({}, frozenset())


def test_of_what_is_installed_no_file_is_read() -> None:
    assert follow({"numpy.random", "tensorflow"}) == ({}, {"numpy", "tensorflow"})


# -- Where it stops --------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", list(STOPS))
def test_every_stop_is_a_module_or_a_pattern_of_some(stop) -> None:
    assert [name for name in MODULES if fnmatchcase(name, stop)], f"{stop} stops nothing"
    assert STOPS[stop].strip()


def test_it_stops_where_it_is_told_to_and_not_at_what_it_is_asked_for() -> None:
    everything = names(*(f"pamdp.stages.{stage}" for stage in STAGES))
    assert not [name for name in everything for stop in STOPS if fnmatchcase(f"pamdp.{name}", stop)]
    assert "strategies.members" in names("pamdp.strategies.members")
    assert "base.errors" in names("pamdp.base.errors")


def test_files_are_there_and_stand_under_their_names() -> None:
    root = Path(pamdp.__file__).parent
    for name, path in follow({f"pamdp.stages.{stage}" for stage in STAGES}).files.items():
        assert path.is_file()
        package, _, data = name.partition("/")
        place = root.joinpath(*package.split(".")[1:])
        places = [place / data] if data else [place.with_suffix(".py"), place / "__init__.py"]
        assert path in places


# -- Stages ----------------------------------------------------------------------------------------


def test_what_tuning_runs() -> None:
    found = names("pamdp.stages.tune")
    assert found >= {"learning.learner", "learning.training", "tuning.study", "tuning.settings"}
    assert found >= {"stages.tune", "learning.compiled", "learning.hosted", "base.strategy"}
    assert not found & {"stages.train", "settings", "films", "evaluation"}
    assert not [name for name in found if name.startswith(("tracking", "engines"))]


def test_what_training_runs() -> None:
    found = names("pamdp.stages.train")
    assert found >= {"stages.train", "learning.learner", "learning.training", "checkpoint"}
    assert "evaluation" not in found
    assert not [name for name in found if name.startswith(("tuning", "tracking", "engines"))]


def test_what_the_report_runs() -> None:
    found = names("pamdp.stages.report")
    assert found >= {"films", "watching", "bridge.adapter", "reporting.page", "statistics"}
    assert "reporting/templates/page.css" in found
    assert "reporting/templates/page.html.jinja" in found


def test_what_evaluation_and_export_run() -> None:
    assert names("pamdp.stages.evaluate") >= {"evaluation", "statistics", "learning.rollout"}
    assert names("pamdp.stages.export") >= {"export", "serving", "learning.policy"}


# -- Plug-ins --------------------------------------------------------------------------------------


def code_of(subject: Cell) -> set[str]:
    """All that the facts which a cell's training depends on are about."""
    own = modules_of(subject.algorithm) | modules_of(subject.strategy) | subject.task.sources
    return names("pamdp.stages.train", *own)


SPARSE = {"kind": "sparse", "task": {"kind": "platform"}}
SUBJECTS = {
    **{name: cell("mpdqn", name) for name in ("reversal", "inverting", "reversal_inverting")},
    "pdqn": cell("pdqn", "plain"),
    "spdqn": cell("spdqn", "plain"),
    "sparse": cell("pdqn", "plain", task=SPARSE),
    "move": cell("pdqn", "plain", task={"kind": "hard_move"}),
    "goal": cell("pdqn", "plain", task={"kind": "goal"}),
}
EVERY = set(SUBJECTS)
OF_PLATFORM = EVERY - {"move", "goal"}


@pytest.mark.parametrize(
    ("module", "running"),
    [
        ("strategies.reversal", {"reversal", "reversal_inverting"}),
        ("strategies.inverting", {"inverting", "reversal_inverting"}),
        ("base.strategy", EVERY),
        ("strategies.chain", {"reversal_inverting"}),
        ("algorithms.pdqn", {"pdqn", "sparse", "move", "goal"}),
        ("algorithms.mpdqn", {"reversal", "inverting", "reversal_inverting"}),
        ("algorithms.spdqn", {"spdqn"}),
        ("base.algorithm", EVERY),
        ("envs.platform", OF_PLATFORM),
        ("envs.sparse", {"sparse"}),
        ("envs.hard_move", {"move"}),
        ("envs.point_mass", {"move"}),  # what its class is derived from
        ("envs.catch_point", set()),
        ("base.environment", EVERY),
        ("envs.canvas", EVERY),  # what its file uses, pictures too
        ("envs.soccer", {"goal"}),
        ("learning.learner", EVERY),
        ("learning.scaling", EVERY),
        ("learning.exploration", EVERY),
        ("base.networks", EVERY),
        ("learning.loop", EVERY),
        ("reporting.page", set()),
    ],
)
def test_the_code_that_a_cell_runs(module, running) -> None:
    assert f"pamdp.{module}" in MODULES
    assert {name for name, subject in SUBJECTS.items() if module in code_of(subject)} == running


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        ("platform", set()),
        ("catch_point", {"point_mass"}),
        ("hard_move", {"point_mass"}),
        ("goal", {"soccer", "pitch"}),
        ("hard_goal", {"goal", "soccer", "pitch"}),
        ("sparse", {"platform"}),
    ],
)
def test_the_code_of_an_environment(kind, others) -> None:
    """Its own module, what it is derived from and draws with, the task within, and no other."""
    task = cell(task=SPARSE).task if kind == "sparse" else ENVIRONMENTS[kind].variants()[0]
    found = names(*task.sources)
    of_envs = {name.removeprefix("envs.") for name in found if name.startswith("envs.")}
    assert of_envs == {kind, "canvas"} | others
    assert found >= {"base.environment", "base.task", "base.spaces", "base.seeding"}
    assert not [name for name in found if name.startswith(("learning", "strategies"))]


@pytest.mark.parametrize("kind", list(ENVIRONMENTS))
def test_what_an_environment_imports_of_its_package_is_its_code(kind) -> None:
    """But for the list of all environments."""
    files, imported = follow(ENVIRONMENTS[kind].variants()[0].sources).files, set()
    for file in files.values():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "pamdp.envs":
                imported |= {f"pamdp.envs.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pamdp.envs."):
                imported.add(node.module)
    missing = imported - {"pamdp.envs.members"} - set(files)
    assert not missing, "changes there would leave old results standing"


def test_the_code_of_every_algorithm_and_strategy_is_its_file_and_its_base() -> None:
    plug_ins: dict[str, Any] = {
        **{f"algorithms.{kind}": algorithm_of(kind) for kind in ALGORITHMS},
        **{f"strategies.{k}": strategy_of({"kind": k}) for k in STRATEGIES if k != "chain"},
    }
    for module, plug_in in plug_ins.items():
        found, family = names(*modules_of(plug_in)), module.split(".")[0]
        assert {name for name in found if name.startswith(family)} == {module}
        assert ("base.algorithm" if family == "algorithms" else "base.strategy") in found


def test_the_code_of_a_chain_is_that_of_its_members() -> None:
    found = names(*modules_of(SUBJECTS["reversal_inverting"].strategy))
    own = {"strategies.chain", "strategies.reversal", "strategies.inverting"}
    assert {name for name in found if name.startswith("strategies")} == own


def test_the_code_of_an_environment_of_gymnasium_is_its_own_and_our_translation() -> None:
    found = follow(cell(task={"kind": "gymnasium", "id": "CartPole-v1"}).task.sources)
    translation = (f"translation.{name}" for name in ("actions", "nests", "observations"))
    names = ("fields", "gymnasium", "parameterised", "translation", *translation)
    bridge = {f"pamdp.bridge.{name}" for name in names}
    assert bridge <= set(found.files)
    assert found.packages == {"gymnasium"}

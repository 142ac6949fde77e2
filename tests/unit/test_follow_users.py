"""What is followed of a user's code, and what stands beside ours."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from pathlib import Path

import gymnasium
import pytest

from pamdp import provenance
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.provenance import code, digest, follow
from tests import user_environment


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a user's own, whose face imports a module; nothing of it is remembered."""
    folder = tmp_path / "theirs_alone"
    folder.mkdir()
    (folder / "__init__.py").write_text("from theirs_alone import patches\n")
    (folder / "patches.py").write_text("FACTOR = 1\n")
    (folder / "env.py").write_text("class Env:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    for known in (provenance._located, provenance._is_installed):
        known.cache_clear()
    yield folder
    for name in [name for name in sys.modules if name.startswith("theirs_alone")]:
        del sys.modules[name]


def test_what_the_packages_around_a_module_import_is_followed(package) -> None:
    assert {"theirs_alone", "theirs_alone.patches"} <= {*follow({"theirs_alone.env"}).files}


def test_whoever_imports_pamdp_may_make_any_of_our_environments(package) -> None:
    (package / "env.py").write_text("import gymnasium\nimport pamdp\n")
    files = follow({"theirs_alone.env"}).files
    assert {"pamdp.envs.goal", "pamdp.envs.platform", "pamdp.envs.soccer"} <= {*files}


def test_an_environment_of_ours_through_gymnasium_is_its_code() -> None:
    task = Gymnasium(kind="gymnasium", id="pamdp/Platform-v0")
    assert "pamdp.envs.platform" in follow(task.sources).files


def test_what_a_partial_makes_is_looked_for_where_it_is_written(monkeypatch) -> None:
    made = partial(user_environment.Reach, 0.4)
    gymnasium.register("PartialReach-v0", entry_point=made, max_episode_steps=10)
    try:
        task = Gymnasium(kind="gymnasium", id="PartialReach-v0")
        assert user_environment.__name__ in task.sources
        assert "functools" not in task.sources
    finally:
        del gymnasium.registry["PartialReach-v0"]


def test_an_id_without_a_version_is_that_of_the_newest() -> None:
    newest = Gymnasium(kind="gymnasium", id="pamdp/Platform-v0").sources
    assert Gymnasium(kind="gymnasium", id="pamdp/Platform").sources == newest


def test_words_are_texts_that_describe_and_no_other_class_variables(tmp_path) -> None:
    def kept(line: str) -> bytes:
        path = tmp_path / "module.py"
        path.write_text(f"class A:\n    {line}\n")
        provenance._code.cache_clear()
        return code(path)

    assert kept('title: ClassVar[str] = "a"') == kept('title: ClassVar[str] = "b"')
    assert kept("reference: ClassVar[float] = 1.0") != kept("reference: ClassVar[float] = 9.0")
    assert kept("rule: ClassVar[str] = one()") != kept("rule: ClassVar[str] = other()")
    assert kept('title: str = "a"') != kept('title: str = "b"')


def test_what_an_editor_leaves_beside_our_code_is_no_part_of_it() -> None:
    folder = Path(provenance.__file__).parent
    before = digest({"pamdp.stages.report"})
    strays = [folder / "base" / ".calls.py.swp", folder / "reporting" / "page.py.orig"]
    try:
        for path in strays:
            path.write_text("x")
        assert digest({"pamdp.stages.report"}) == before
    finally:
        for path in strays:
            path.unlink()

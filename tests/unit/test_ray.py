"""What Ray adds to the contract of engines (test_engines): other machines, which may be lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pamdp.base.errors import PamdpError
from pamdp.engines import Needs, worker
from pamdp.engines import ray as engine
from pamdp.engines.ray import Ray, connected
from tests.unit import tasks
from tests.unit.tasks import Saved

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PAMDP_WORKERS", "2")
        connected()
    yield
    ray.shutdown()
    connected.cache_clear()


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().split()


# -- Workers that are lost -------------------------------------------------------------------------


def test_a_task_goes_on_from_its_last_checkpoint_when_its_worker_is_lost(tmp_path) -> None:
    received: list[int | Saved] = []
    with Ray(1) as opened:
        told = lambda _, event: received.append(event)  # noqa: E731
        items = [(tmp_path, "a", 5, 3, None)]
        assert opened.map(tasks.resumable, items, told, resumes=Saved) == ["a counted to 5"]
    assert notes(tmp_path) == ["a0", "a1", "a2", "a2", "a3", "a4"]
    assert received == [0, 1, Saved(2), 2, 2, 3, Saved(4), 4]


def test_a_task_that_gives_no_checkpoints_begins_again(tmp_path) -> None:
    with Ray(1) as opened:
        assert opened.map(tasks.resumable, [(tmp_path, "a", 3, 2)]) == ["a counted to 3"]
    assert notes(tmp_path) == ["a0", "a1", "a0", "a1", "a2"]


def test_a_task_that_always_loses_its_worker_is_given_up() -> None:
    said = r"kill 9: its worker was lost 3 times in a row, the last time: .*died"
    with pytest.raises(PamdpError, match=said), Ray(1) as opened:
        opened.map(tasks.kill, [(9,)])


def test_tasks_that_can_go_on_take_turns(tmp_path) -> None:
    """So all are at an end at about the same time, as with threads."""
    with Ray(1) as opened:
        items = [(tmp_path, name, 4, None, None) for name in "ab"]
        opened.map(tasks.resumable, items, resumes=Saved)
    assert notes(tmp_path) == ["a0", "a1", "b0", "b1", "a2", "a3", "b2", "b3"]


# -- Workers that do not fit -----------------------------------------------------------------------


def test_a_worker_with_other_versions_or_other_code_is_named(monkeypatch) -> None:
    own = worker.identity()
    for other, said in (
        (own._replace(code="0123456789abcdef"), r"pamdp's code 0123456789ab, received \w{12};"),
        (own._replace(versions=own.versions | {"numpy": "1.0"}), r"numpy 1\.0, received \d.*;"),
    ):
        monkeypatch.setattr(engine.worker, "identity", lambda other=other: other)
        with pytest.raises(PamdpError, match=rf"node .*: expected what the .* runs, {said}"):
            Ray(1).map(tasks.same, [("x",)])


def test_a_worker_without_this_package_is_named(monkeypatch) -> None:
    work = engine._shipped(worker.identity())
    monkeypatch.setitem(sys.modules, "pamdp.engines", None)
    with pytest.raises(RuntimeError, match=r"node .*: expected pamdp [\d.]+ to be installed"):
        next(work(b"", False))


def test_a_worker_without_the_module_of_a_user_is_named(monkeypatch) -> None:
    module = ModuleType("only_here")
    module.task = lambda: None  # type: ignore[attr-defined]
    module.task.__module__, module.task.__qualname__ = "only_here", "task"
    monkeypatch.setitem(sys.modules, "only_here", module)
    said = "expected the modules that the environment needs, .*'only_here'; install them on all"
    with pytest.raises(PamdpError, match=said), Ray(1) as opened:
        opened.map(module.task, [()])


def test_a_task_that_no_node_has_memory_for_is_refused() -> None:
    said = r"expected a node with a core and 1000000\.0 GB of memory, .* with \d+\.\d GB at most"
    with pytest.raises(PamdpError, match=said), Ray(1, Needs(memory=1e15)) as opened:
        opened.map(tasks.same, [("x",)])


# -- What travels ----------------------------------------------------------------------------------


def test_modules_of_a_study_travel_with_what_they_import_there(tmp_path, monkeypatch) -> None:
    (tmp_path / "reach.py").write_text("import arm\n\n\ndef where():\n    return arm.__file__\n")
    (tmp_path / "arm.py").write_text("")
    (tmp_path / "unused.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import reach  # type: ignore[import-not-found]

    with Ray(1, Needs(frozenset({"reach"}))) as opened:
        (place,) = opened.map(reach.where, [()])
    assert not Path(place).is_relative_to(tmp_path)
    assert sorted(path.name for path in Path(place).parent.glob("*.py")) == ["arm.py", "reach.py"]


def test_each_task_gets_a_process_of_its_own_where_it_needs_one() -> None:
    with Ray(1, Needs(fresh=True)) as opened:
        assert len({*opened.map(tasks.process, [()] * 3)}) == 3


# -- The cluster -----------------------------------------------------------------------------------


def test_other_processes_are_told_the_address() -> None:
    assert ":" in Ray.shared()["RAY_ADDRESS"]


def test_without_ray_it_is_said_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PamdpError, match=r"pip install 'pamdp\[ray\]'"):
        connected.__wrapped__()


def test_a_cluster_that_is_not_there_is_named(monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("no")))
    with pytest.raises(PamdpError, match=r"RAY_ADDRESS: .* received '127.0.0.1:9' \(no\)"):
        connected.__wrapped__()

"""What Ray adds to the contract of engines (test_engines): other machines, which may be lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType
from unittest import mock

import psutil
import pytest

from pamdp.base.errors import PamdpError
from pamdp.engines import Needs, worker
from pamdp.engines import ray as engine
from pamdp.engines.cluster import connected
from pamdp.engines.ray import Ray
from tests.unit import tasks
from tests.unit.local_ray import local_ray
from tests.unit.tasks import Saved


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    with local_ray(2):
        yield


def notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text().split()


# -- Workers that are lost -------------------------------------------------------------------------


def test_a_task_goes_on_from_its_last_checkpoint_when_its_worker_is_lost(tmp_path) -> None:
    received: list[int | Saved] = []

    def told(_: int, event: int | Saved) -> None:
        received.append(event)
        if event == 2:
            (tmp_path / "kill").touch()

    with Ray(1) as opened:
        items = [(tmp_path, "a", 5, 3, None)]
        assert opened.map(tasks.resumable, items, told, resumes=Saved) == ["a counted to 5"]
    assert notes(tmp_path) == ["a0", "a1", "a2", "a2", "a3", "a4"]
    assert received == [0, 1, Saved(2), 2, 2, 3, Saved(4), 4]


def test_a_task_that_gives_no_checkpoints_begins_again(tmp_path) -> None:
    (tmp_path / "kill").touch()
    with Ray(1) as opened:
        assert opened.map(tasks.resumable, [(tmp_path, "a", 3, 2)]) == ["a counted to 3"]
    assert notes(tmp_path) == ["a0", "a1", "a0", "a1", "a2"]


@pytest.mark.parametrize("task", [tasks.kill, tasks.tell_and_die])
def test_a_task_that_always_loses_its_worker_is_given_up(task) -> None:
    said = f"{task.__name__} 9: lost its worker 3 times without a checkpoint .*: .*died"
    with pytest.raises(PamdpError, match=said), Ray(1) as opened:
        opened.map(task, [(9,)], resumes=Saved)


def test_tasks_that_can_go_on_take_turns(tmp_path) -> None:
    """So all are at an end at about the same time, as with threads."""
    with Ray(1) as opened:
        items = [(tmp_path, name, 4, None, None) for name in "ab"]
        opened.map(tasks.resumable, items, resumes=Saved)
    assert notes(tmp_path) == ["a0", "a1", "b0", "b1", "a2", "a3", "b2", "b3"]


def test_tasks_take_no_turns_where_all_have_a_worker(tmp_path, monkeypatch) -> None:
    packed = mock.Mock(wraps=Ray._packed)  # once for each beginning of a task
    monkeypatch.setattr(Ray, "_packed", lambda self, pending: packed(self, pending))
    with Ray(2) as opened:
        items = [(tmp_path, name, 4, None, None) for name in "ab"]
        opened.map(tasks.resumable, items, resumes=Saved)
    assert packed.call_count == 2


def test_leaving_early_leaves_no_task() -> None:
    processes: list[int] = []

    def told(_: int, number: int) -> None:
        processes.append(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Ray(1) as opened:
        opened.map(tasks.doze, [()], told)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(processes[0]).wait(5)


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
    for missing, found in ((PackageNotFoundError, "none"), (None, "0.0.1")):
        version = mock.Mock(side_effect=missing, return_value="0.0.1")
        monkeypatch.setattr("importlib.metadata.version", version)
        said = rf"node .*: expected pamdp [\d.]+ to be installed, received {found};"
        with pytest.raises(RuntimeError, match=said):
            next(work(b"", False))


def test_a_worker_without_the_module_of_a_user_is_named(monkeypatch) -> None:
    module = ModuleType("only_here")
    module.task = lambda: None  # type: ignore[attr-defined]
    module.task.__module__, module.task.__qualname__ = "only_here", "task"
    monkeypatch.setitem(sys.modules, "only_here", module)
    said = "node .*: expected the modules that the environment needs, .*'only_here'; install them"
    with pytest.raises(PamdpError, match=said), Ray(1) as opened:
        opened.map(module.task, [()])
    with pytest.raises(PamdpError, match=said), Ray(1, Needs(frozenset({"only_here"}))) as opened:
        opened.map(tasks.same, [("x",)])  # as an environment, which is imported by its name


def test_a_task_that_no_node_has_memory_for_is_refused() -> None:
    said = r"expected a node with 1000000\.0 GB of memory, .* nodes have \d+\.\d GB at most"
    with pytest.raises(PamdpError, match=said), Ray(1, Needs(memory=1e15)) as opened:
        opened.map(tasks.same, [("x",)])


# -- What travels ----------------------------------------------------------------------------------


def test_modules_of_a_study_travel_with_what_they_import_there(tmp_path, monkeypatch) -> None:
    source = tmp_path / "src"  # which is on the path, and the study's folder need not be
    (source / "parts").mkdir(parents=True)
    text = "from parts import arm\n\n\ndef where():\n    return arm.__file__\n"
    (source / "reach.py").write_text(text)
    for name in ("parts/__init__.py", "parts/arm.py", "unused.py"):
        (source / name).write_text("")
    monkeypatch.syspath_prepend(source)
    import reach  # type: ignore[import-not-found]

    with Ray(1, Needs(frozenset({"reach"}))) as opened:
        (place,) = opened.map(reach.where, [()])
    assert not Path(place).is_relative_to(tmp_path)
    found = sorted(path.name for path in Path(place).parents[1].rglob("*.py"))
    assert found == ["__init__.py", "arm.py", "reach.py"]


def test_each_task_gets_a_process_of_its_own_where_it_needs_one() -> None:
    with Ray(1, Needs(fresh=True)) as opened:
        assert len({*opened.map(tasks.process, [()] * 3)}) == 3


# -- The cluster -----------------------------------------------------------------------------------


CONNECT = """
import ray
ray.init(logging_level="ERROR")
print(ray.cluster_resources()["CPU"])
"""


@pytest.mark.parametrize("token", [True, False])
def test_other_processes_connect_by_address_and_token(token) -> None:
    variables = os.environ | Ray.join() | ({} if token else {"RAY_AUTH_TOKEN": "another" * 8})
    command = [sys.executable, "-c", CONNECT]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout == ("2.0\n" if token else "")
    assert (done.returncode == 0) is token


def test_without_ray_it_is_said_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PamdpError, match=r"pip install 'pamdp\[ray\]'"):
        connected()


def test_a_cluster_that_is_not_there_is_named(monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(connected(), "is_initialized", lambda: False)
    with pytest.raises(PamdpError, match=rf"RAY_ADDRESS: .* received {address}, where nothing an"):
        connected()


def test_what_ray_cannot_do_is_told_in_its_words(monkeypatch) -> None:
    ray = connected()
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", mock.Mock(side_effect=OSError("no room in /tmp/ray")))
    with pytest.raises(PamdpError, match=r"connect to Ray on this .* OSError: no room in /tmp/ray"):
        connected()


def test_a_cluster_without_cores_is_waited_for_in_words(monkeypatch, capsys) -> None:
    monkeypatch.setattr(engine, "WORDLESS", 0.1)
    monkeypatch.setattr(engine, "places", lambda _: [])
    with Ray(1) as opened:
        assert opened.map(tasks.same, [("x", 1.0)]) == ["x"]
    assert "Ray: waiting for a node with cores" in capsys.readouterr().err


def test_a_task_asks_for_what_finished_ones_took(monkeypatch) -> None:
    with Ray(1, Needs(memory=3e9)) as opened:
        asked = []
        for _ in range(2):
            asked.append(opened._memory)
            opened.map(tasks.count, [(2,)])
    assert asked[0] == 3_000_000_000
    assert 0 < opened._memory < 1e9

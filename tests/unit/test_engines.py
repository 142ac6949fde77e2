"""Engines keep to one contract: results in order, events as they come, nothing left over."""

import multiprocessing
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from pamdp.base.errors import PamdpError
from pamdp.engines import ENGINES, Engine, Needs, Processes, open_engine, processes, workers
from pamdp.engines.threads import Threads
from tests.unit import tasks
from tests.unit.local_ray import local_ray
from tests.unit.tasks import BrokenError

Make = Callable[[int], Engine]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, with more cores than it has: tasks of tests wait for each other."""
    with local_ray(8):
        yield


@pytest.fixture(params=list(ENGINES))
def make(request) -> Make:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return ENGINES[request.param]


# -- Results and events ----------------------------------------------------------------------------


@pytest.mark.parametrize("num_workers", [1, 3])
def test_results_come_in_the_order_of_the_items_whatever_ends_first(make, num_workers) -> None:
    with make(num_workers) as engine:
        items = [("a", 0.3), ("b", 0.0), ("c", 0.1), ("d",)]
        assert engine.map(tasks.same, items) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_every_event_of_every_task_in_its_order(make, num_workers) -> None:
    lengths = [3, 0, 5, 1, 4]
    received: dict[int, list[int]] = {index: [] for index in range(len(lengths))}
    with make(num_workers) as engine:
        told = lambda index, event: received[index].append(event)  # noqa: E731
        results = engine.map(tasks.count, [(length,) for length in lengths], told)
    assert received == {index: list(range(length)) for index, length in enumerate(lengths)}
    assert results == [f"counted to {length}" for length in lengths]


def test_events_arrive_in_the_thread_that_submits(make) -> None:
    threads: set[int] = set()
    with make(2) as engine:
        engine.map(tasks.count, [(3,)] * 3, lambda *_: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_events_of_a_task_are_told_while_another_is_waited_for(make) -> None:
    received: list[tuple[int, int]] = []
    with make(1) as engine:
        first = engine.submit(tasks.count, 2, told=lambda *event: received.append(event))
        second = engine.submit(tasks.same, "x", 0.1)
        assert engine.result(second) == "x"
        assert engine.result(first) == "counted to 2"
    assert received == [(first, 0), (first, 1)]


def test_results_can_be_taken_in_any_order(make) -> None:
    with make(2) as engine:
        numbers = [engine.submit(tasks.same, value) for value in "abc"]
        assert [engine.result(numbers[index]) for index in (2, 0, 1)] == ["c", "a", "b"]


def test_a_second_round_counts_its_items_from_0(make) -> None:
    with make(1) as engine:
        for _ in range(2):
            received: list[tuple[int, int]] = []
            engine.map(tasks.count, [(1,), (1,)], lambda *event: received.append(event))  # noqa: B023
            assert sorted(received) == [(0, 0), (1, 0)]


def test_no_tasks(make) -> None:
    with make(2) as engine:
        assert engine.map(tasks.same, []) == []


def test_as_many_run_at_a_time_as_there_are_workers(make, tmp_path) -> None:
    with make(3) as engine:
        items = [(tmp_path, str(number), 3) for number in range(6)]
        running = engine.map(tasks.meet, items)
    assert max(running) == 3


# -- Ends ------------------------------------------------------------------------------------------


def test_an_error_is_raised_with_its_traceback(make) -> None:
    with pytest.raises(BrokenError, match="step 2") as caught, make(2) as engine:
        engine.map(tasks.fail, [("step 2", 2)])
    shown = "".join(traceback.format_exception(caught.value))
    assert "tasks.py" in shown
    assert "raise BrokenError(message)" in shown


def test_an_error_of_another_task_is_not_waited_for_in_vain(make) -> None:
    with make(2) as engine:
        first = engine.submit(tasks.same, "x", 5)
        engine.submit(tasks.fail, "other")
        with pytest.raises(BrokenError, match="other"):
            engine.result(first)


def test_after_an_error_the_others_stop(make, tmp_path) -> None:
    path = tmp_path / "ticks"
    with pytest.raises(BrokenError, match="done"), make(2) as engine:
        engine.map(tasks.tick, [(path, None), (path, "done")])
    stopped = path.stat().st_size
    assert stopped > 0
    time.sleep(0.05)
    assert path.stat().st_size == stopped


def test_leaving_early_begins_nothing_more(make, tmp_path) -> None:
    def told(index: int, event: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), make(1) as engine:
        engine.map(tasks.begin, [(tmp_path, str(number)) for number in range(20)], told)
    begun = len([*tmp_path.iterdir()])
    assert 1 <= begun <= 2
    time.sleep(0.05)
    assert len([*tmp_path.iterdir()]) == begun


def test_leaving_early_leaves_no_thread_and_no_process(make) -> None:
    before = threading.active_count(), multiprocessing.active_children()

    def told(index: int, event: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), make(2) as engine:
        engine.map(tasks.count, [(1000, 0.001)] * 3, told)
    assert (threading.active_count(), multiprocessing.active_children()) == before


def test_leaving_at_the_end_leaves_no_thread_and_no_process(make) -> None:
    before = threading.active_count(), multiprocessing.active_children()
    with make(2) as engine:
        engine.map(tasks.same, [("a",), ("b",), ("c",)])
    assert (threading.active_count(), multiprocessing.active_children()) == before


@pytest.mark.parametrize(
    "error",
    [SystemExit(0), SystemExit("x"), KeyboardInterrupt(), GeneratorExit(), StopIteration(1)],
)
def test_whatever_a_task_raises_arrives_as_an_error(make, error) -> None:
    with pytest.raises(RuntimeError, match=type(error).__name__), make(1) as engine:
        engine.map(tasks.throw, [(error,)])


# -- Threads ---------------------------------------------------------------------------------------


def turns(*lengths: int) -> list[tuple[int, int]]:
    """The events of tasks that one worker does, all of which wait when it begins."""
    received: list[tuple[int, int]] = []
    gate = threading.Event()
    with Threads(1) as engine:
        first = engine.submit(tasks.wait, gate)
        told = lambda number, event: received.append((number - first - 1, event))  # noqa: E731
        numbers = [engine.submit(tasks.count, length, told=told) for length in lengths]
        gate.set()
        for number in numbers:
            engine.result(number)
    return received


def test_one_worker_takes_turns() -> None:
    assert turns(2, 3, 1) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (1, 2)]


def test_turns_keep_tasks_level() -> None:
    # One worker, as with several the operating system decides which of them is held up.
    done = [0] * 5
    for index, _ in turns(*[6] * 5):
        done[index] += 1
        assert max(done) - min(done) <= 1


def test_no_task_runs_twice_at_a_time() -> None:
    """A generator that is entered twice raises ValueError, which would come out here."""
    with Threads(4) as engine:
        assert engine.map(tasks.count, [(20, 0.001)]) == ["counted to 20"]


# -- Processes -------------------------------------------------------------------------------------


def test_tasks_run_in_other_processes() -> None:
    with Processes(1) as engine:
        first, second = engine.map(tasks.process, [(), ()])
    assert first == second != os.getpid()


def test_fresh_gives_each_task_a_process_of_its_own() -> None:
    with Processes(1, Needs(fresh=True)) as engine:
        assert len({*engine.map(tasks.process, [()] * 3), os.getpid()}) == 4


@pytest.mark.parametrize(
    ("task", "arguments", "said"),
    [
        (tasks.leave, (3,), r"leave 3: .* ended its process \(exit code 3\), which it must not do"),
        (tasks.leave, (0,), r"leave 0: the environment ended its process \(exit code 0\)"),
        (tasks.kill, (9,), r"kill 9: .* \(SIGKILL\), as for lack of memory: try PAMDP_WORKERS=1"),
        (tasks.kill, (15,), r"kill 15: .* killed from outside \(SIGTERM\); the same command goes"),
        (tasks.kill, (11,), r"kill 11: its process crashed in native code \(SIGSEGV\), as of a"),
        (tasks.kill, (6,), r"kill 6: its process crashed in native code \(SIGABRT\), as of a"),
    ],
)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_process_that_is_gone_is_an_error_that_says_how(task, arguments, said, fresh) -> None:
    with pytest.raises(PamdpError, match=said), Processes(2, Needs(fresh=fresh)) as engine:
        engine.map(task, [arguments])


def test_what_is_under_way_is_killed_and_not_waited_for() -> None:
    def told(index: int, event: str) -> None:
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Processes(1) as engine:
        engine.map(tasks.doze, [()], told)
    assert time.monotonic() - start < 60


def test_an_error_that_cannot_travel_is_told_in_words() -> None:
    message = "UnportableError: one and two"
    with pytest.raises(RuntimeError, match=message) as caught, Processes(1) as engine:
        engine.map(tasks.fail_unportably, [()])
    assert "in fail_unportably" in "".join(traceback.format_exception(caught.value))


def test_an_error_that_has_no_words_arrives_all_the_same() -> None:
    with pytest.raises(RuntimeError, match="OddError: <exception str") as caught, Processes(1) as e:
        e.map(tasks.throw_oddly, [()])
    assert "in throw_oddly" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("fresh", [False, True])
def test_a_thread_that_a_task_left_running_is_not_waited_for(fresh, monkeypatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.5)
    with Processes(1, Needs(fresh=fresh)) as engine:
        assert engine.map(tasks.leave_a_thread, [("x",), ("y",)]) == ["x", "y"]


def test_what_cannot_travel_is_an_error_and_no_wait_without_end() -> None:
    with pytest.raises(Exception, match="pickle"), Processes(1) as engine:
        engine.map(tasks.same, [(threading.Lock(),)])


@pytest.mark.parametrize(("name", "edit"), [("edited_here", "x = 2\n"), ("removed_here", None)])
def test_a_module_that_is_edited_before_a_worker_has_it_is_an_error(
    tmp_path, monkeypatch, name, edit
) -> None:
    """What runs would not be what the results are said to be of."""
    module = tmp_path / f"{name}.py"
    module.write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    needs = Needs(frozenset({name}))
    with Processes(1, needs) as engine:
        module.write_text("x = 1  # a comment is no other code\n")
        assert engine.map(tasks.value_in, [(name,)]) == [1]
        module.write_text("x = 3\n")  # this worker has imported what was there
        assert engine.map(tasks.value_in, [(name,)]) == [1]
    said = f"{name}.py.*: expected the code that was there when this began"
    with Processes(1, needs) as engine:
        module.write_text(edit) if edit else module.unlink()
        with pytest.raises(PamdpError, match=said):
            engine.map(tasks.value_in, [(name,)])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="it cannot be told here")
def test_each_process_keeps_to_one_core() -> None:
    with Processes(2) as engine:
        for cores in engine.map(tasks.cores, [()] * 3):
            assert len(cores) == 1
            assert cores <= os.sched_getaffinity(0)


# -- Which engine, and how many workers ------------------------------------------------------------


@pytest.fixture(autouse=True)
def _unset(monkeypatch) -> None:
    for name in ("PAMDP_ENGINE", "PAMDP_WORKERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("suited", ["threads", "processes"])
@pytest.mark.parametrize("wanted", ["", *ENGINES])
def test_the_engine_is_what_suits_or_what_is_said(monkeypatch, request, suited, wanted) -> None:
    if wanted == "ray":
        request.getfixturevalue("cluster")
    monkeypatch.setenv("PAMDP_ENGINE", wanted)
    with open_engine(suited, 1) as engine:
        assert type(engine) is ENGINES[wanted or suited]


@pytest.mark.parametrize(("num_tasks", "expected"), [(0, 1), (1, 1), (3, 3), (9, 7)])
def test_there_are_no_more_workers_than_tasks(monkeypatch, num_tasks, expected) -> None:
    monkeypatch.setenv("PAMDP_WORKERS", "7")
    with open_engine("threads", num_tasks) as engine:
        assert engine.num_workers == expected


def test_an_unknown_engine_is_named(monkeypatch) -> None:
    monkeypatch.setenv("PAMDP_ENGINE", "thread")
    known = "threads, processes, ray"
    said = rf"^PAMDP_ENGINE: expected one of {known}, received 'thread'; did you mean 'th"
    with pytest.raises(PamdpError, match=said):
        open_engine("threads", 1)


def test_workers_are_the_cores_or_what_is_said(monkeypatch) -> None:
    assert workers() >= 1
    monkeypatch.setenv("PAMDP_WORKERS", "7")
    assert workers() == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_a_wrong_number_of_workers_is_named(monkeypatch, text) -> None:
    monkeypatch.setenv("PAMDP_WORKERS", text)
    with pytest.raises(PamdpError, match=f"PAMDP_WORKERS: expected a whole .*, received '{text}'"):
        workers()


def test_no_event_is_lost_however_threads_take_turns(monkeypatch) -> None:
    """A worker that told of a step after it had let go of the task lost one in twenty."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            told: dict[tuple[int, Any], None] = {}
            with Threads(4) as engine:
                engine.map(tasks.counting, [(20,)] * 5, partial(_note, told))
            assert sorted(told) == [(index, number) for index in range(5) for number in range(20)]
    finally:
        sys.setswitchinterval(interval)


def _note(told: dict, number: int, event: Any) -> None:
    assert (number, event) not in told
    told[number, event] = None

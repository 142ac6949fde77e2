"""The engine: all items, in order for each task, level, and stopped when one fails."""

import threading
import time
from collections.abc import Generator

import pytest

from pamdp.engines import workers
from pamdp.engines.threads import interleave


def count(to: int, seconds: float = 0.0) -> Generator[int, None, str]:
    for number in range(to):
        time.sleep(seconds)
        yield number
    return "done"


@pytest.mark.parametrize("num_workers", [1, 2, 8])
def test_every_item_of_every_task_in_its_order(num_workers) -> None:
    lengths = [3, 0, 5, 1, 4]
    received: dict[int, list[int]] = {index: [] for index in range(len(lengths))}
    for index, item in interleave([count(length) for length in lengths], num_workers):
        received[index].append(item)
    assert received == {index: list(range(length)) for index, length in enumerate(lengths)}


def test_no_tasks() -> None:
    assert list(interleave([], 2)) == []


def test_one_worker_takes_turns() -> None:
    items = list(interleave([count(2), count(3), count(1)], 1))
    assert items == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (1, 2)]


def test_turns_keep_tasks_level() -> None:
    # One worker, as with several the operating system decides which of them is held up.
    done = [0] * 5
    for index, _ in interleave([count(6, seconds=0.0) for _ in range(5)], 1):
        done[index] += 1
        assert max(done) - min(done) <= 1


def test_as_many_run_at_a_time_as_there_are_workers() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def task() -> Generator[None, None, None]:
        nonlocal running, most
        for _ in range(4):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.01)
            with lock:
                running -= 1
            yield

    list(interleave([task() for _ in range(6)], 3))
    assert most == 3


def test_no_task_runs_twice_at_a_time() -> None:
    """A generator that is entered twice raises ValueError, which would come out here."""
    list(interleave([count(20, seconds=0.001)], 4))


class BrokenError(Exception):
    pass


def test_an_error_comes_out_and_the_others_stop() -> None:
    steps = 0

    def endless() -> Generator[None, None, None]:
        nonlocal steps
        while True:
            time.sleep(0.002)
            steps += 1
            yield

    def broken() -> Generator[None, None, None]:
        yield
        raise BrokenError("step 2")

    with pytest.raises(BrokenError, match="step 2"):
        list(interleave([endless(), broken()], 2))
    stopped = steps
    time.sleep(0.05)
    assert steps == stopped


def test_leaving_early_starts_nothing_more() -> None:
    started = 0

    def task() -> Generator[None, None, None]:
        nonlocal started
        for _ in range(3):
            started += 1
            time.sleep(0.005)
            yield

    stream = interleave([task() for _ in range(20)], 1)
    next(stream)
    stream.close()
    assert started <= 2


def test_leaving_early_stops_all_threads() -> None:
    before = threading.active_count()
    stream = interleave([count(1000, seconds=0.001) for _ in range(3)], 2)
    next(stream)
    assert threading.active_count() > before
    stream.close()
    assert threading.active_count() == before


def test_workers_are_the_cores_or_what_is_said(monkeypatch) -> None:
    monkeypatch.delenv("PAMDP_WORKERS", raising=False)
    assert workers() >= 1
    monkeypatch.setenv("PAMDP_WORKERS", "7")
    assert workers() == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_a_wrong_number_of_workers_is_named(monkeypatch, text) -> None:
    monkeypatch.setenv("PAMDP_WORKERS", text)
    with pytest.raises(ValueError, match=f"PAMDP_WORKERS: expected a whole .*, received '{text}'"):
        workers()

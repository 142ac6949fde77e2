"""Tasks for engines: functions of a module, because other processes find them by their names."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple


class BrokenError(Exception):
    pass


class UnportableError(Exception):
    """One that cannot be made again from what pickle keeps of it."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def same(value: Any, seconds: float = 0.0) -> Any:
    time.sleep(seconds)
    return value


def count(to: int, seconds: float = 0.0) -> Generator[int, None, str]:
    for number in range(to):
        time.sleep(seconds)
        yield number
    return f"counted to {to}"


def wait(event: threading.Event) -> bool:
    return event.wait(20)


def fail(message: str, after: int = 0) -> Generator[int, None, None]:
    yield from range(after)
    raise BrokenError(message)


def fail_unportably() -> None:
    raise UnportableError("one", "two")


def tick(path: Path, message: str | None) -> Generator[None, None, None]:
    """Without a message grows a file for ever; with one, fails with it as soon as there is such."""
    while message is None or not path.exists():
        time.sleep(0.002)
        if message is None:
            with path.open("a") as file:
                file.write("x")
        yield
    raise BrokenError(message)


def begin(folder: Path, name: str) -> Generator[str, None, None]:
    """Leaves a note that it has begun."""
    (folder / name).touch()
    for _ in range(3):
        time.sleep(0.02)
        yield name


def doze() -> Generator[int, None, None]:
    yield os.getpid()
    time.sleep(120)


def meet(folder: Path, name: str, others: int) -> int:
    """Waits until so many have begun; how many are under way then."""
    begun, running = folder / f"begun-{name}", folder / f"running-{name}"
    running.touch()
    begun.touch()
    deadline = time.monotonic() + 20
    while len([*folder.glob("begun-*")]) < others and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)  # in which one too many would begin
    number = len([*folder.glob("running-*")])
    time.sleep(0.05)  # so that the others have counted before this one is gone
    running.unlink()
    return number


def value_in(module: str) -> Any:
    return importlib.import_module(module).x


def process() -> int:
    return os.getpid()


def cores() -> set[int]:
    return os.sched_getaffinity(0)


def leave(code: int) -> None:
    os._exit(code)


def kill(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def tell_and_die(number: int) -> Generator[int, None, None]:
    """Tells of some steps, as often as it is begun, and ends its process."""
    yield from range(number)
    os.kill(os.getpid(), 9)


def throw(error: BaseException) -> None:
    raise error


class OddError(Exception):
    """One that can neither be told nor sent."""

    def __init__(self, number: int) -> None:
        super().__init__("odd", number)

    def __str__(self) -> str:
        raise LookupError("no words")


def throw_oddly() -> None:
    raise OddError(1)


def counting(number: int):
    """Tells of each step."""
    yield from range(number)


class Saved(NamedTuple):
    """An event from which `resumable` goes on."""

    number: int


def resumable(
    folder: Path, name: str, to: int, kill_at: int | None, start: Saved | None = None
) -> Generator[int | Saved, None, str]:
    """Counts and notes each step; ends its process at one of them as soon as `kill` lies there.

    What a process has told just before it is killed may be lost: whoever waits for it puts the file
    there when it has arrived.
    """
    for number in range(start.number if start else 0, to):
        if number == kill_at and not (folder / f"{name}-killed").exists():
            appear(folder / "kill")
            (folder / f"{name}-killed").touch()
            os.kill(os.getpid(), 9)
        with (folder / "notes").open("a") as file:
            file.write(f"{name}{number} ")
        yield number
        if number % 2:
            yield Saved(number + 1)
    return f"{name} counted to {to}"


def appear(path: Path) -> None:
    """Waits until a file is there."""
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def leave_a_thread(value: Any) -> Any:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return value

"""A call that takes long is named, and nothing else happens to it."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from pamdp.base.errors import EnvironmentFailure, Interrupted, PamdpError
from pamdp.bridge import failures, hanging
from pamdp.bridge.failures import theirs
from pamdp.bridge.hanging import Watch


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def watch(lines, monkeypatch) -> Watch:
    """One that looks only when it is told to."""
    watch = Watch(lines.append)
    watch._looking = True
    monkeypatch.setattr(failures, "WATCH", watch)
    return watch


def test_a_call_is_named_after_10_and_60_seconds_and_then_every_10_minutes(watch, lines) -> None:
    with theirs("mine", "step with action {}", 3):
        ((_, since),) = watch._calls.values()
        due = []
        for second in range(1, 1900):
            watch.look(since + second)
            due += [second] * (len(lines) - len(due))
    assert due == [10, 60, 660, 1260, 1860]
    assert lines[0] == "still waiting, since 10 s, for environment 'mine' in step with action 3"


def test_each_call_counts_anew(watch, lines) -> None:
    for _ in range(3):
        with theirs("mine", "reset"):
            watch.look(time.monotonic() + 9)
    watch.look(time.monotonic() + 1000)
    assert lines == []
    for number in (1, 2):
        with theirs("mine", "reset"):
            watch.look(time.monotonic() + 11)
            assert len(lines) == number


def test_a_call_within_another_is_the_one_that_is_named(watch, lines) -> None:
    with theirs("mine", "check_env"):
        with theirs("mine", "reset"):
            watch.look(time.monotonic() + 11)
        (before,) = watch._calls.values()
        assert str(before[0]) == "environment 'mine' in check_env"
    assert lines == ["still waiting, since 11 s, for environment 'mine' in reset"]
    assert watch._calls == {}


def test_a_failed_call_is_over(watch) -> None:
    with pytest.raises(EnvironmentFailure), theirs("mine", "reset"):
        raise ValueError
    assert watch._calls == {}


def test_the_thread_looks_by_itself(monkeypatch) -> None:
    monkeypatch.setattr(hanging, "LOOK", 0.001)
    monkeypatch.setattr(hanging, "FIRST", 1e-9)
    written = threading.Event()
    watch = Watch(lambda line: written.set())
    watch.begin("something")
    assert written.wait(60)


# -- Whose error it is -----------------------------------------------------------------------------


@pytest.fixture
def keyboard():
    """Python's own handler, which is not there if tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("error", [PamdpError("ours"), Interrupted(15), KeyboardInterrupt()])
def test_what_is_not_the_environments_passes(error, keyboard) -> None:
    with pytest.raises(type(error)) as caught, theirs("mine", "reset"):
        raise error
    assert caught.value is error


def test_an_interruption_is_theirs_where_no_user_can_have_sent_it() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with pytest.raises(EnvironmentFailure, match="KeyboardInterrupt"), theirs("mine", "reset"):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interruption_in_another_thread_is_theirs() -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with theirs("mine", "reset"):
                raise KeyboardInterrupt
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(raised[0], EnvironmentFailure)


def test_what_fails_in_the_wake_of_a_failure_does_not_hide_it() -> None:
    def fail() -> None:
        try:
            with theirs("mine", "step"):
                raise LookupError("the cause")
        except EnvironmentFailure:
            with theirs("mine", "close"):
                raise OSError("what it led to") from None

    with pytest.raises(EnvironmentFailure, match=r"failed in step(.|\n)*the cause$"):
        fail()

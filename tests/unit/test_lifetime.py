"""When processes end, with real ones, and that only one is at a work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pamdp import lifetime
from pamdp.base.errors import PamdpError
from tests.helpers import ROOT

LONG = 60.0  # seconds to wait for what takes a few at most
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def until(condition: Callable[[], object]) -> None:
    """Waits until something is so, and fails if it never is."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def heed_signals() -> None:
    """A shell has what it starts in the background ignore SIGINT, nohup SIGHUP."""
    for number in lifetime.SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def started(program: str, *arguments: object, **options) -> subprocess.Popen:
    """Python, with a program of a few lines."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    given = {"preexec_fn": heed_signals} | pipes | options
    return subprocess.Popen(command, env=ENVIRONMENT, **given)


def gone(path: Path) -> bool:
    """Whether the process whose number was written there is."""
    return not psutil.pid_exists(int(path.read_text()))


# -- Signals ---------------------------------------------------------------------------------------

WAITING = """
import sys
from queue import SimpleQueue
from pamdp import lifetime
lifetime.obey_signals()
try:
    print("ready", flush=True)
    SimpleQueue().get()  # as an engine waits for its workers
except KeyboardInterrupt as error:
    print("ended by", error.number)
    sys.exit(128 + error.number)
"""


@pytest.mark.parametrize("number", lifetime.SIGNALS)
def test_a_signal_ends_what_waits(number):
    process = started(WAITING)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(number)
    said, _ = process.communicate(timeout=LONG)
    assert (said, process.returncode) == (f"ended by {int(number)}\n", 128 + number)


def test_what_does_not_end_by_itself_is_ended():
    program = "from pamdp import lifetime\nlifetime.PATIENCE = 0.2\n" + WAITING.replace(
        '    print("ended', '    while True: pass\n    print("ended'
    )
    process = started(program)
    assert process.stdout
    process.stdout.readline()
    process.terminate()
    out, err = process.communicate(timeout=LONG)
    assert (out, err, process.returncode) == ("", f"{lifetime.ADVICE}\n", 143)


def test_a_signal_that_is_ignored_stays_so():
    process = started(WAITING, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.terminate()
    assert process.communicate(timeout=LONG)[0] == "ended by 15\n"


# -- What started it -------------------------------------------------------------------------------

# As a stage does: it notes its number and works.
STAGE = """
import os, sys, time
from pathlib import Path
from pamdp import lifetime
lifetime.obey_signals()
lifetime.end_with_starters()
scratch = Path(sys.argv[1] + ".part")
scratch.write_text(str(os.getpid()))
scratch.rename(sys.argv[1])
while True: time.sleep(0.1)
"""
# As DVC runs it, in a shell of its own.
STARTER = """
import subprocess, sys
words = " ".join(f"'{word}'" for word in sys.argv[1:])
subprocess.run(["sh", "-c", f"{words}; true"])
"""


@pytest.fixture
def tree(tmp_path):
    """A starter of that name, the shell it runs, and the stage in it."""
    (tmp_path / "stage.py").write_text(STAGE)
    made: list[subprocess.Popen] = []

    def tree(name: str) -> tuple[subprocess.Popen, psutil.Process, Path]:
        (tmp_path / name).write_text(STARTER)
        note = tmp_path / "number"
        words = [tmp_path / name, sys.executable, tmp_path / "stage.py", note]
        command = [sys.executable, *map(str, words)]
        given = {"env": ENVIRONMENT, "start_new_session": True, "preexec_fn": heed_signals}
        made.append(subprocess.Popen(command, **given))
        until(note.exists)
        shell = psutil.Process(int(note.read_text())).parent()
        assert shell
        return made[-1], shell, note

    yield tree
    for process in made:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
@pytest.mark.parametrize("whom", ["starter", "shell"])
def test_a_stage_ends_with_what_runs_it(tree, whom, number):
    starter, shell, note = tree("dvc")
    (starter if whom == "starter" else shell).send_signal(number)
    starter.wait(LONG)
    until(lambda: gone(note))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
@pytest.mark.parametrize("number", lifetime.SIGNALS)
def test_a_stage_ends_with_make_which_would_wait_for_it(tmp_path, number):
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "Makefile").write_text(f"study:\n\t@{sys.executable} stage.py number; exit $$?\n")
    make = subprocess.Popen(
        ["make", "study"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=heed_signals,
    )
    until((tmp_path / "number").exists)
    make.send_signal(number)
    assert make.wait(LONG) == -number
    until(lambda: gone(tmp_path / "number"))


def fake(*words: str) -> SimpleNamespace:
    return SimpleNamespace(cmdline=lambda: words)


SH, DVC, STUDY, MAKE, TYPED = (
    fake("sh", "-c", "python pipeline/train.py"),
    fake("/x/python", "/x/bin/dvc", "repro"),
    fake("/x/bin/python3.12", "/x/bin/pamdp", "study"),
    fake("/usr/bin/make", "study"),
    fake("-bash"),
)


@pytest.mark.parametrize(
    ("parents", "watched"),
    [
        ([SH, DVC, STUDY, SH, MAKE, TYPED], [SH, DVC, STUDY, SH, MAKE]),
        ([DVC, TYPED], [DVC]),
        ([fake("python", "-m", "dvc", "repro")], [0]),
        ([TYPED, fake("sshd"), MAKE], []),
        ([TYPED], []),
        ([fake("bash", "-c", "pamdp study"), fake("cron")], []),
        ([fake("vim", "pamdp"), fake("code", "/home/me/pamdp")], []),
    ],
)
def test_a_terminal_is_no_starter(parents, watched):
    found = lifetime._starters(parents)
    assert found == (parents if watched == [0] else watched)


def test_children_of_children_are_asked_to_end(tmp_path):
    note = tmp_path / "number"
    program = (
        "import subprocess, sys, time; from pamdp import lifetime\n"
        "subprocess.Popen([sys.executable, sys.argv[1], sys.argv[2], sys.executable,"
        " sys.argv[3], sys.argv[4]])\n"
        "while not __import__('os').path.exists(sys.argv[4]): time.sleep(0.05)\n"
        "lifetime.end_children()\n"
    )
    (tmp_path / "stage.py").write_text(STAGE.replace("lifetime.end_with_starters()", ""))
    (tmp_path / "other.py").write_text(STARTER.replace("sys.argv[1:]", "sys.argv[2:]"))
    files = tmp_path / "other.py", "x", tmp_path / "stage.py", note
    started(program, *files).wait(LONG)
    until(lambda: gone(note))


WORKER = """
import os, sys, time
from pathlib import Path

def work(note):
    Path(note + ".part").write_text(str(os.getpid()))
    Path(note + ".part").rename(note)
    while True: pass

if __name__ == "__main__":
    from pamdp.engines import Processes
    with Processes(1) as engine:
        engine.map(work, [(sys.argv[1],)])
"""


def test_a_worker_ends_with_the_process_that_it_works_for(tmp_path):
    (tmp_path / "main.py").write_text(WORKER)
    note = tmp_path / "number"
    command = [sys.executable, str(tmp_path / "main.py"), str(note)]
    process = subprocess.Popen(command, env=ENVIRONMENT)
    until(note.exists)
    process.kill()
    process.wait()
    until(lambda: gone(note))


# -- One at a time ---------------------------------------------------------------------------------

HOLDING = """
import sys
from pathlib import Path
from pamdp import lifetime
with lifetime.sole(Path(sys.argv[1]), "x"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_second_one_is_told_who_is_at_it(tmp_path):
    path = tmp_path / "locks" / "x.lock"
    process = started(HOLDING, path, stdin=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    number = process.pid
    said = rf"^tune x: expected to be the only .* process {number} is, too; .*`kill {number}`$"
    with pytest.raises(PamdpError, match=said), lifetime.sole(path, "tune x"):
        pass
    process.kill()
    process.communicate()
    with lifetime.sole(path, "tune x"):
        assert path.read_text() == f"{os.getpid()}\n"
    with lifetime.sole(path, "tune x"):
        pass


def test_one_that_is_about_to_end_is_waited_for(tmp_path):
    path = tmp_path / "x.lock"
    process = started(HOLDING, path, stdin=subprocess.PIPE)
    assert process.stdout
    assert process.stdin
    process.stdout.readline()
    process.stdin.close()
    with lifetime.sole(path, "x", LONG):
        assert process.wait(LONG) == 0

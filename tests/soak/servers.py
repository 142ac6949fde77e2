"""Whole studies whose MLflow server hangs, or dies half-way: the same bytes, and little time lost.

    python -m tests.soak.servers

Each study is compared with one that has no server. Then a server that works stands at the same
address, and `pamdp track` has to complete it. This takes about ten minutes and is no part of the
test suite.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.pipeline import checkout
from tests.soak import soak

LOST = 60.0  # seconds that a server may cost a study
PORT = 5731
URI = f"http://127.0.0.1:{PORT}"


@contextmanager
def silent() -> Iterator[None]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", PORT), backlog=1000):
        yield


@contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen]:
    """MLflow's own server, with what it holds in a folder."""
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", "127.0.0.1", "--port", str(PORT)),
                *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
                *("--artifacts-destination", str(folder / "artifacts")),
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(server)
        yield server
    finally:
        end(server)


def wait_for(server: subprocess.Popen) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"{URI}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server has ended")


def end(server: subprocess.Popen) -> None:
    """Kills a server with its workers."""
    for process in soak.processes(server.pid):
        process.kill()
    server.wait()


def studied(folder: Path, dies_with: subprocess.Popen | None = None) -> float:
    """Seconds of a study at the server, which dies when the first training is under way."""
    started = time.monotonic()
    study = soak.begun(folder, MLFLOW_TRACKING_URI=URI)
    while dies_with and study.poll() is None:
        if soak.stage_process(folder, study.pid, "train"):
            end(dies_with)
            break
        time.sleep(0.1)
    if study.wait():
        raise SystemExit(folder.with_name(f"{folder.name}.log").read_text())
    return time.monotonic() - started


def completed(folder: Path) -> Counter[tuple[str, str]]:
    """The runs at a working server after `pamdp track`."""
    held = folder.with_name(f"{folder.name}.server")
    with working(held):
        checkout.succeed(folder, "pamdp", "track", MLFLOW_TRACKING_URI=URI)
    return soak.runs(held / "mlflow.db")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed, expected = soak.reference(Path(scratch))
        for kind in ("works", "hangs", "dies"):
            folder = soak.made(Path(scratch, kind))
            if kind == "hangs":
                with silent():
                    lost = studied(folder) - undisturbed
            else:
                with working(folder.with_name(f"{kind}.server")) as server:
                    lost = studied(folder, server if kind == "dies" else None) - undisturbed
            shown = completed(folder)
            found = soak.Result(soak.files(folder), expected.trials, shown)
            soak.compare(expected, found)
            print(f"{kind}: {lost:.0f} s more; all is the same, {shown.total()} runs", flush=True)
            if lost > LOST:
                raise SystemExit(f"expected at most {LOST:.0f} s more")


if __name__ == "__main__":
    sys.exit(main())

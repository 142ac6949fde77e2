"""Servers that hang, drip, fail or die: waited for once, and what they lack is shown later."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from pamdp.base.errors import PamdpError
from pamdp.files import read_json, write_json
from pamdp.records import Run
from pamdp.tracking import failures, rebuild
from pamdp.tracking.live import Live
from pamdp.tracking.rebuild import open_view
from tests.unit.tracking.shown import python, record

EXPERIMENT = {"experiment": {"experiment_id": "7", "name": "x", "lifecycle_stage": "active"}}


class Server:
    """Listens, and does to each request what its kind says.

    Attributes:
      kind: `silent`, `drips`, `fails`, or `dies`, which answers the first request and no other.
      requests: how many came.
      hanging: it has begun to keep someone waiting.
    """

    def __init__(self, kind: str) -> None:
        self.kind, self.requests, self.hanging = kind, 0, threading.Event()
        self._ended = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the other side has gone
            while data := connection.recv(65536):
                self.requests += data.startswith((b"GET ", b"POST "))
                if self.kind == "fails":
                    connection.sendall(answer("500 Oh", {"message": "oh"}))
                elif self.kind == "dies" and self.requests == 1:
                    connection.sendall(answer("200 OK", EXPERIMENT))
                elif self.kind == "drips":
                    self.hanging.set()
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                    while not self._ended.wait(0.02):
                        connection.sendall(b" ")
                else:
                    self.hanging.set()
                    self._ended.wait()

    def close(self) -> None:
        self._ended.set()
        self._socket.close()


def answer(status: str, content: dict) -> bytes:
    body = json.dumps(content)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


@pytest.fixture
def server(request, monkeypatch):
    server = Server(request.param)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    yield server
    server.close()


def work(root: Path, server: Server | None = None, **limits: float) -> bytes:
    """Something like a stage, whose work lasts until the server hangs, if that is to be.

    Returns:
      The bytes of its result.
    """
    path = root / "metrics" / "train" / "a" / "record.json"
    run = record()
    with Live("x", root, **limits) as sink:
        sink.put(record(10))
        run.write(path)
        sink.put(run, final=True)
        if server:
            assert server.hanging.wait(60)
    return path.read_bytes()


KINDS = {
    "silent": "not done 0.3 s after the work",
    "drips": "not done 0.3 s after the work",
    "dies": "not done 0.9 s after the work",
    "fails": "MlflowException: API request to",
}


@pytest.mark.parametrize(("server", "reason"), KINDS.items(), ids=KINDS, indirect=["server"])
def test_it_is_waited_for_once_and_all_is_shown_later(
    server, reason, tmp_path, caplog, monkeypatch, template
):
    undisturbed = record()
    undisturbed.write(tmp_path / "undisturbed.json")
    if server.kind == "fails":
        result = work(tmp_path)
    else:
        result = work(tmp_path, server, patience=0.9, first_patience=0.3)
    assert result == (tmp_path / "undisturbed.json").read_bytes()
    (line,) = [message for message in caplog.messages if "racking" in message]
    assert line.startswith(f"Tracking failed and stops ({reason}")
    asked = server.requests
    assert asked >= 1

    # The next process asks nothing.
    caplog.clear()
    assert work(tmp_path) == result
    (line,) = caplog.messages
    assert line.startswith(f"Tracking stays off ({server.uri} failed 0 min ago: {reason}")
    assert line.endswith("`pamdp track` tries at once.")
    assert server.requests == asked

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    shutil.copy(template, tmp_path / "mlflow.db")
    assert rebuild("x", tmp_path) == [record().key]
    view = open_view("x", tmp_path)
    assert len(view.client.search_runs([view.experiment_id])) == 3  # the cell and its two seeds


@pytest.mark.parametrize("server", ["silent", "drips", "fails"], indirect=True)
def test_track_tries_and_says_in_a_line_that_it_failed(server, tmp_path):
    failures.remember(tmp_path, "it was down")
    with pytest.raises(PamdpError) as error:
        rebuild("x", tmp_path, patience=60 if server.kind == "fails" else 0.3)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"MLflow at {server.uri}: ")
    assert line.endswith(
        "the records are safe, and `pamdp track` shows them once it can be reached"
    )


@pytest.mark.parametrize("server", ["drips"], indirect=True)
def test_it_does_not_keep_the_process_alive(server, tmp_path):
    done = python(
        f"""
        import pathlib
        from pamdp.records import Run
        from pamdp.tracking.live import Live
        with Live("x", pathlib.Path({str(tmp_path)!r}), first_patience=0.3) as sink:
            sink.put(Run(key="train/a", fingerprint="f"))
        print("went on")
        """
    )
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert len(done.stderr.splitlines()) == 1


# -- What is remembered ----------------------------------------------------------------------------


def remembered(root: Path) -> str | None:
    failures.remember(root, "it was down")
    return failures.recent(root)


def test_a_failure_is_remembered_without_the_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@server:5000")
    assert remembered(tmp_path) == "http://server:5000 failed 0 min ago: it was down"
    (path,) = (tmp_path / ".work").iterdir()
    assert "secret" not in path.read_text()


@pytest.mark.parametrize("age", [1801, -60])
def test_it_is_forgotten_after_half_an_hour_or_if_the_clock_was_changed(tmp_path, monkeypatch, age):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert remembered(tmp_path)
    path = tmp_path / ".work" / "tracking.json"
    content = read_json(path)
    write_json(path, content | {"time": content["time"] - age})
    assert failures.recent(tmp_path) is None


def test_another_server_is_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert remembered(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    assert failures.recent(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"time": "x"}'])
def test_what_cannot_be_read_is_nothing(tmp_path, monkeypatch, text):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert remembered(tmp_path)
    (tmp_path / ".work" / "tracking.json").write_text(text)
    assert failures.recent(tmp_path) is None


def test_of_the_default_database_nothing_is_remembered(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert remembered(tmp_path) is None
    assert not (tmp_path / ".work").exists()


def test_an_address_that_answers_track_is_tried_again(tmp_path):
    failures.remember(tmp_path, "it was down")
    assert failures.recent(tmp_path)
    assert rebuild("x", tmp_path) == []
    assert failures.recent(tmp_path) is None


def test_a_record_that_is_wrong_is_not_the_servers_fault(tmp_path, caplog):
    run = Run(key="train/a", fingerprint="f", artifacts=["missing"])
    with Live("x", tmp_path) as sink:
        sink.put(run, final=True)
    assert "which is not there: `dvc checkout` restores it" in caplog.text
    assert failures.recent(tmp_path) is None

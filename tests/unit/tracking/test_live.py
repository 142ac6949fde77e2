"""Records are shown beside the work, and never in its way."""

import logging
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from pamdp.records import Run
from pamdp.tracking import Sink, live, open_sink, rebuild
from pamdp.tracking.folder import VARIABLE, Folder
from pamdp.tracking.live import Live
from tests.unit.tracking.shown import CELL, POINTS, assert_shows, python, record


def test_a_killed_process_leaves_a_running_run_that_is_completed(fresh, tmp_path, request):
    """The process also may not look up any address: tracking in a file talks to nobody."""
    snapshot = tmp_path / "snapshot.json"
    record(12).write(snapshot)
    done = python(
        f"""
        import os, pathlib, signal, socket
        def refuse(*a, **k):
            print("network", a, flush=True)
            raise OSError
        socket.getaddrinfo = socket.socket.connect = refuse
        from pamdp.records import Run
        from pamdp.tracking import live
        def dying(*arguments, open_view=live.open_view):
            view = open_view(*arguments)
            def sync(*arguments, sync=view.sync):
                sync(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            view.sync = sync
            return view
        live.open_view = dying
        with live.Live({request.node.name!r}, pathlib.Path({str(tmp_path)!r})) as sink:
            sink.put(Run.read(pathlib.Path({str(snapshot)!r})))
            signal.pause()
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (-9, "", "")
    assert_shows(fresh(), record(12), "RUNNING")
    fresh().sync(record(), final=True)
    assert_shows(fresh(), record(), "FINISHED")


def test_a_sink_shows_the_newest_snapshots_and_then_the_record(fresh, tmp_path, request):
    with Live(request.node.name, tmp_path, interval=0.01) as sink:
        for points in range(1, POINTS):
            sink.put(record(points))
            time.sleep(0.002)
        sink.put(record(), final=True)
    assert_shows(fresh(), record(), "FINISHED")


def test_a_busy_database_is_waited_for(fresh, tmp_path, request, database):
    fresh()
    other = sqlite3.connect(database.removeprefix("sqlite+pysqlite:///"), check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(1.5, other.rollback).start()
    with Live(request.node.name, tmp_path) as sink:
        sink.put(record(2), final=True)
    assert_shows(fresh(), record(2), "FINISHED")
    other.close()


def test_an_unreachable_server_costs_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done = python(
        f"""
        import pathlib, time
        from pamdp.records import Run
        from pamdp.tracking.live import Live
        with Live("x", pathlib.Path({str(tmp_path)!r}), interval=0) as sink:
            for n in range(20):
                sink.put(Run(key="train/a", fingerprint="f", metrics={{"m": [(n, 1.0)]}}))
                sink.log_model("a", {{}})
            time.sleep(1)
        print("went on")
        """
    )
    assert (done.returncode, done.stdout) == (0, "went on\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Tracking failed and stops (MlflowException: ")
    assert "127.0.0.1" in line
    assert "`pamdp track`" in line


@pytest.fixture
def views(monkeypatch):
    """Has something else done where a record would be shown."""

    def views(sync) -> None:
        class View:
            def __init__(self, experiment: str, root: Path) -> None:
                pass

            def sync(self, run: Run, final: bool, live: bool) -> None:
                sync(run)

        monkeypatch.setattr(live, "open_view", View)

    return views


def test_a_sink_is_not_waited_for_without_end(tmp_path, caplog, views):
    release = threading.Event()
    views(lambda run: release.wait(20))
    with caplog.at_level(logging.WARNING), Live("x", tmp_path, patience=0.2) as sink:
        sink.put(record())
    (only,) = caplog.records
    assert "not done 0.2 s" in only.getMessage()
    release.set()


def test_the_first_failure_ends_the_attempts(tmp_path, caplog, views):
    calls = []

    def fail(run):
        calls.append(run)
        raise sqlite3.OperationalError("database or disk is full\nand more")

    views(fail)
    with Live("x", tmp_path, interval=0) as sink:
        sink.put(record(1))
        deadline = time.monotonic() + 20
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
        sink.put(Run(key="train/another", fingerprint="f"))
    assert len(calls) == 1
    (only,) = caplog.records
    assert "OperationalError: database or disk is full and more" in only.getMessage()


def test_off_means_off(tmp_path, monkeypatch):
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    before = threading.active_count()
    with open_sink("x", tmp_path) as sink:
        sink.put(record(), final=True)
        sink.log_model(CELL, {})
        assert threading.active_count() == before
    record(1).write(tmp_path / "metrics" / "train" / CELL / "record.json")
    assert rebuild("x", tmp_path) == []
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Live),
        ({VARIABLE: "records"}, Folder),
        ({"PAMDP_TRACKING": "OFF"}, Sink),
        ({"PAMDP_TRACKING": "off", VARIABLE: "records"}, Sink),
    ],
)
def test_the_environment_says_where_records_are_shown(tmp_path, monkeypatch, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert type(open_sink("x", tmp_path)) is expected


def test_importing_tracking_does_not_import_mlflow():
    done = python("import sys, pamdp.tracking; print('mlflow' in sys.modules)")
    assert (done.stdout, done.stderr) == ("False\n", "")

"""Searches that are stored where PAMDP_OPTUNA_STORAGE says: the same, with clear errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest
from optuna.trial import TrialState, create_trial

import pamdp
from pamdp.base.errors import PamdpError
from pamdp.tuning.database import create_database, open_database
from pamdp.tuning.remote import VARIABLE
from tests.unit.test_searches import run, search, subject, trained

__all__ = ["subject", "trained"]  # fixtures


def tool(name: str) -> str | None:
    """A program of PostgreSQL, where Debian or PATH has it."""
    return next(iter(glob(f"/usr/lib/postgresql/*/bin/{name}")), None) or shutil.which(name)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server of its own, without a port."""
    pytest.importorskip("psycopg", reason="needs psycopg")
    initdb, control = tool("initdb"), tool("pg_ctl")
    if not initdb or not control:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl")
    # The path of a socket has to be short, and root may not run the server.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as place:
        user = {}
        if os.getuid() == 0:
            try:
                shutil.chown(place, "postgres")
            except LookupError:
                pytest.skip("needs a user `postgres`, as root may not run PostgreSQL")
            user = {"user": "postgres", "group": "postgres"}

        def call(*command: str) -> None:
            options = {"cwd": place, "check": True, "capture_output": True, "timeout": 120}
            subprocess.run(command, **options, **user)

        data = f"{place}/data"
        call(initdb, "-D", data, "-U", "pamdp", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c fsync=off -k {place}"
        call(control, "-D", data, "-o", options, "-l", f"{place}/log", "-w", "start")
        try:
            yield f"postgresql://pamdp@/postgres?host={place}"
        finally:
            call(control, "-D", data, "-m", "immediate", "stop")


def test_a_search_is_the_same_in_postgresql(
    server, trained, subject, tmp_path, monkeypatch
) -> None:
    pruner = {"kind": "median", "n_startup_trials": 2}
    expected = run(search(subject, tmp_path / "file", pruner=pruner))
    assert any(trial.pruned for trial in expected)
    monkeypatch.setenv(VARIABLE, server)
    create_database(tmp_path)
    first = search(subject, tmp_path / "server", pruner=pruner, trials=4)
    assert run(first, 2) == expected[:4]
    assert run(search(subject, tmp_path / "server", pruner=pruner), 2) == expected
    begun = len(trained)
    assert run(search(subject, tmp_path / "elsewhere", pruner=pruner)) == expected  # read back
    assert len(trained) == begun
    shown = open_database(tmp_path, f"{subject.name}-f").trials
    assert [trial.user_attrs["number"] for trial in shown] == list(range(10))
    assert {trial.state.name for trial in shown} == {"COMPLETE", "PRUNED"}
    assert not [*tmp_path.rglob("optuna.db")][1:]  # but for the first


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("somewhere", "expected an address of a database, such as postgresql://user@host/database"),
        ("postgresql://me:secret@h:abc/x", "expected an address of a database, such as"),
        ("sqlite:///x.db?timeout=abc", "answers at sqlite:///x.db"),
        ("postgresql://me:secret@127.0.0.1:9/x", r"answers at postgresql\+psycopg://me:\*\*\*@127"),
        ("nothing://x/y", "expected the package that talks to such a database"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line(tmp_path, monkeypatch, address, said) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(PamdpError, match=said) as error:
        create_database(tmp_path)
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{VARIABLE}: ")
    assert "secret" not in line


def test_what_the_server_refuses_in_a_search_is_one_line(server, tmp_path, monkeypatch) -> None:
    psycopg = pytest.importorskip("psycopg")
    monkeypatch.setenv(VARIABLE, server)
    open_database(tmp_path, "refused")
    with psycopg.connect(server, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE guest LOGIN")
        administrator.execute("CREATE ROLE reader LOGIN SUPERUSER")
        administrator.execute("ALTER ROLE reader SET default_transaction_read_only = on")
    for user, said in (("reader", "read-only transaction"), ("guest", "permission denied")):
        monkeypatch.setenv(VARIABLE, server.replace("pamdp@", f"{user}@"))
        with pytest.raises(PamdpError, match=f"may be read and written at .*{said}") as error:
            open_database(tmp_path, "refused").set_user_attr("cell", "x")
        assert len(str(error.value).splitlines()) == 1


def test_a_connection_that_was_lost_while_idle_is_made_again(server, tmp_path, monkeypatch) -> None:
    psycopg = pytest.importorskip("psycopg")
    monkeypatch.setenv(VARIABLE, server)
    study = open_database(tmp_path, "lost")
    with psycopg.connect(server, autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    study.set_user_attr("cell", "x")
    assert study.user_attrs == {"cell": "x"}


def test_what_something_else_adds_to_a_study_is_left_alone(trained, subject, tmp_path) -> None:
    expected = run(search(subject, tmp_path / "own", trials=4))
    run(search(subject, tmp_path / "shared", trials=2))
    shared = open_database(tmp_path / "shared", f"{subject.name}-f")
    shared.add_trial(create_trial(value=1.0))
    other = shared.ask()
    assert run(search(subject, tmp_path / "shared", trials=4)) == expected
    assert shared.trials[other.number].state is TrialState.RUNNING


def test_a_search_from_python_leaves_nothing_in_a_shared_database(
    trained, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'shared.db'}")
    cell = pamdp.cell("platform", changes={"tuning.share": 1.0, "learner.q.hidden": [8]})
    space = [{"path": "learner.gamma", "low": 0.8, "high": 0.99}]
    found = pamdp.tune(cell, trials=2, space=space)
    assert [trial.state for trial in found.trials] == ["complete", "complete"]
    assert not [*tmp_path.iterdir()]


def test_the_driver_that_is_missing_is_named(tmp_path) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path; from pamdp.tuning.database import create_database\n"
        "create_database(Path('.'))"
    )
    variables = {**os.environ, VARIABLE: "postgresql://127.0.0.1:9/x"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert "pip install 'pamdp[postgresql]'" in done.stderr.splitlines()[-1]
    assert not (Path(tmp_path) / "optuna.db").exists()

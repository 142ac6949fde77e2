"""MLflow's pages, opened from a checkout."""

from __future__ import annotations

import os
import socket
from argparse import Namespace

import pytest

from pamdp.base.errors import PamdpError
from pamdp.stages import ui
from tests.helpers import ROOT


@pytest.fixture
def checkout(monkeypatch, tmp_path):
    """A checkout that is worked in, whose pages MLflow has at `uri`."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)

    def at(uri: str) -> None:
        monkeypatch.setattr(ui, "open_pages", lambda *_: (uri, "#/experiments/1"))

    at("sqlite:///mlflow.db")
    return at


def test_it_becomes_the_server_and_says_where_it_will_answer(checkout, monkeypatch, capsys):
    begun = []
    monkeypatch.setattr(os, "execv", lambda _, command: begun.append(command))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ui.run(Namespace(port=port))
    (command,) = begun
    assert command[-4:] == ["--port", str(port), "--backend-store-uri", "sqlite:///mlflow.db"]
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == f"The cells, best first: http://127.0.0.1:{port}/#/experiments/1"


def test_where_there_is_a_server_it_begins_none(checkout, monkeypatch, capsys):
    monkeypatch.setattr(os, "execv", None)
    checkout("https://mlflow.example/")
    ui.run(Namespace(port=5000))
    told = capsys.readouterr().out
    assert told == "The cells, best first: https://mlflow.example/#/experiments/1\n"


@pytest.mark.parametrize("beyond", [False, True])
def test_a_port_that_is_taken_or_none_is_named(checkout, beyond):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = 70_000 if beyond else server.getsockname()[1]
        with pytest.raises(PamdpError, match=f"--port: expected one that is free, received {port}"):
            ui.run(Namespace(port=port))

"""Cells in a process that is forked, with real searches and trainings."""

from __future__ import annotations

import os
import signal
from multiprocessing import Pipe

import psutil
import pytest
from ruamel.yaml import YAML

from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.records import Run
from pamdp.settings import load
from pamdp.stages import ahead, lane, search
from pamdp.stages.overview import COUNTED
from pamdp.stages.search import tune_cell
from pamdp.stages.setup import set_up
from pamdp.stages.sharing import Share
from pamdp.stages.train import train_cell
from tests.helpers import changed, params

PLAIN = "platform-mpdqn-plain"
CHANGES = {
    "study.algorithms": ["mpdqn"],
    "study.strategies": ["plain"],
    "study.seeds": [1],
    "environments.platform.learner.batch_size": 8,
    "environments.platform.learner.learning_starts": 16,
    "environments.platform.training": {
        "steps": 200,
        "report_every": 100,
        "evaluation_episodes": 2,
    },
    "tuning.trials": 1,
}


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Checkout:
    """A small study that is set up."""
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(changed(params(), CHANGES), file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAMDP_TRACKING", "off")
    made = Checkout(load(tmp_path / "params.yaml"), tmp_path)
    set_up(made)
    return made


class Listener:
    """What is told of a process, and heard from it."""

    def __init__(self, checkout: Checkout, then=lambda: None) -> None:
        self._marks = {PLAIN: ahead.marks(checkout, PLAIN)}
        self.news: list[tuple[str, bool | None]] = []
        self.lines: list[str] = []
        self._then = then

    def run(self) -> bool:
        variables = {"PAMDP_WORKERS": "1", "PAMDP_TRACKING": "off", "PAMDP_STUDY": "1"}
        share = Share(sorted(os.sched_getaffinity(0))[:1], 1)
        return lane.run(
            lane.Cells({PLAIN: ("tune", "train")}, [share], variables, self._marks),
            self._told,
            self.lines.append,
        )

    def _told(self, name: str, well: bool | None) -> None:
        self.news.append((name, well))
        self._then()


def test_it_gives_what_the_stages_give(checkout):
    listener = Listener(checkout)
    assert listener.run(), listener.lines
    assert listener.news == [(PLAIN, None), (PLAIN, True)]
    counted = filter(None, map(COUNTED.match, listener.lines))
    assert {(line[1], line[2]) for line in counted} == {("tune", PLAIN), ("train", PLAIN)}
    found = ahead.search(checkout, PLAIN)
    trained = ahead.training(checkout, PLAIN, found)
    assert not checkout.tune(PLAIN).exists()
    tune_cell(checkout, PLAIN, checkout.root / "tune")
    train_cell(checkout, PLAIN, found, checkout.root / "train")
    for folder, stage in ((found, "tune"), (trained, "train")):
        expected = {path.name: path.read_bytes() for path in (checkout.root / stage).iterdir()}
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected


def test_settings_that_are_edited_meanwhile_are_refused(checkout):
    path = checkout.root / "params.yaml"
    path.write_text(path.read_text().replace("steps: 200", "steps: 300"))
    listener = Listener(checkout)
    assert not listener.run()
    assert listener.news == [(PLAIN, None), (PLAIN, False)]
    (line,) = listener.lines
    assert line.startswith("error: settings/platform: expected the settings that `setup` has ")
    assert not checkout.ahead.exists()


def test_code_that_setup_has_looked_at_since_is_not_what_is_loaded(checkout):
    listener = Listener(checkout)
    write_json(checkout.setup / "code" / "train.json", {"source": "edited"})
    assert not listener.run()
    (line,) = listener.lines
    assert line.startswith(f"error: {PLAIN}: expected the settings and code that the study began ")
    assert not checkout.ahead.exists()


def test_nor_is_what_it_has_looked_at_since_the_search(checkout, monkeypatch):
    def edit(folder) -> None:  # while the search is under way
        write_json(folder / "best.json", {"values": {}, "score": None})
        Run(key="x", fingerprint="a").write(folder / "record.json")
        write_json(checkout.setup / "code" / "train.json", {"source": "edited"})

    monkeypatch.setattr(search, "tune_cell", lambda _, name, folder: edit(folder))
    cells = lane.Cells({PLAIN: ("tune", "train")}, [], {}, {PLAIN: ahead.marks(checkout, PLAIN)})
    here, there = Pipe()
    assert not lane._cell(checkout, cells, there, PLAIN)
    assert [here.recv(), here.recv()] == [(PLAIN, None), (PLAIN, False)]
    assert not (checkout.ahead / "train").exists()


def test_an_interrupted_one_says_nothing(checkout):
    def interrupt() -> None:
        for process in psutil.Process().children(recursive=True):
            if process.cpu_affinity() == sorted(os.sched_getaffinity(0))[:1]:
                process.send_signal(signal.SIGTERM)  # SIGINT may be ignored here

    listener = Listener(checkout, interrupt)
    assert not listener.run()
    assert listener.news == [(PLAIN, None)]
    assert not [line for line in listener.lines if "error" in line]


def test_one_that_is_killed_tells_no_end(checkout):
    def kill() -> None:
        for process in psutil.Process().children(recursive=True):
            if process.children() == [] and process.cpu_affinity() == [
                sorted(os.sched_getaffinity(0))[0]
            ]:
                os.kill(process.pid, signal.SIGKILL)

    listener = Listener(checkout, kill)
    assert not listener.run()
    assert listener.news == [(PLAIN, None)]

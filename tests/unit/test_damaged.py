"""Files that cannot be read: one line that names the file, what is wrong, and the way out."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from pamdp import checkpoint, export, serving
from pamdp.base.errors import Damaged, ExportError, PamdpError
from pamdp.base.lazy import tf
from pamdp.checkout import Checkout
from pamdp.files import read_arrays, read_json, write_arrays, write_csv, write_json
from pamdp.records import Best, Run, Summary
from pamdp.stages import results, setup
from tests.helpers import cell
from tests.unit.two_cells import INVERTING, found, small

WHOLE = json.dumps({"values": {"learner.gamma": 0.5}, "score": 0.5})
TEXTS = {
    "cut": WHOLE[:20],
    "empty": "",
    "foreign": '{"name": "something else"}',
    "a list": "[1, 2]",
    "deep": "[" * 100_000,
    "binary": "\0\1\2",
}
WEIGHTS = {"1/0": np.arange(200, dtype=np.float32), "1/1": np.ones((2, 3), np.float32)}
LIKE = (tf.zeros(200), tf.zeros((2, 3)))


def said(error: pytest.ExceptionInfo, path: Path, stage: str) -> None:
    """One line that names the file, how it is restored, and how it is made anew."""
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{path}: expected a whole file, received a damaged one (")
    assert "`dvc checkout --force " in line
    assert line.endswith(f"`pamdp study --force {stage}` makes it anew")
    assert len(line) < 700


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json(tmp_path, text):
    path = tmp_path / "metrics" / "tune" / INVERTING / "best.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(Damaged) as error:
        results.tuned(Checkout(small(), tmp_path), small().cell(INVERTING))
    said(error, path, f"tune@{INVERTING}")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Damaged):
        read_json(path, Best)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_record(tmp_path, text):
    path = tmp_path / "metrics" / "train" / "x" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(Damaged) as error:
        Run.read(path)
    said(error, path, "train@x")


@pytest.mark.parametrize("value", [{"x": {}}, {"x": {"return": {}, "per_seed": [{"seed": 1}]}}])
def test_a_summary_of_something_else(tmp_path, value):
    path = tmp_path / "metrics" / "evaluate" / "summary.json"
    write_json(path, value)
    with pytest.raises(Damaged) as error:
        read_json(path, Summary)
    said(error, path, "evaluate")


def flipped(content: bytes) -> bytes:
    """With another bit in the data of the first array."""
    place = content.index(np.float32([100, 101]).tobytes())
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def arrays(path: Path, **changes: np.ndarray) -> bytes:
    write_arrays(path, WEIGHTS | changes)
    return path.read_bytes()


SPOILT = {
    "a bit": lambda path: flipped(arrays(path)),
    "cut": lambda path: arrays(path)[:300],
    "empty": lambda path: b"",
    "no zip": lambda path: b"something else",
    "one array": lambda path: (
        np.save(path.with_suffix(".npy"), np.ones(3)) or path.with_suffix(".npy").read_bytes()
    ),
    "no numbers": lambda path: arrays(path, **{"1/1": np.full((2, 3), np.nan, np.float32)}),
    "other names": lambda path: arrays(path, a=np.ones(3)),
    "texts": lambda path: arrays(path, **{"1/1": np.array([["a"] * 3] * 2)}),
    "pickled": lambda path: np.savez(path, **{"1/0": np.array([{}], object)}) or path.read_bytes(),
    "nothing": lambda path: write_arrays(path, {}) or path.read_bytes(),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_weights(tmp_path, spoil):
    path = tmp_path / "metrics" / "train" / "x" / "weights.npz"
    checkpoint.save_weights(path, {1: LIKE})
    assert list(checkpoint.read_weights(path)) == [1]
    path.write_bytes(spoil(path))
    with pytest.raises(Damaged) as error:
        checkpoint.read_weights(path)
    said(error, path, "train@x")


def test_seeds_that_do_not_belong_together(tmp_path):
    path = tmp_path / "metrics" / "train" / "x" / "weights.npz"
    write_arrays(path, {"1/0": WEIGHTS["1/0"], "1/7": WEIGHTS["1/1"]})
    with pytest.raises(Damaged, match="it lacks '1/1'"):
        checkpoint.read_weights(path)


def test_a_model(tmp_path):
    folder = tmp_path / "models" / INVERTING
    module = tf.Module()
    module.serve = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None])])
    tf.saved_model.save(module, str(folder))
    whole = (folder / "saved_model.pb").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"something else"):
        (folder / "saved_model.pb").write_bytes(content)
        with pytest.raises(Damaged) as error:
            serving.Model(folder)
        said(error, folder, "export")


def test_what_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "metrics" / "evaluate" / "summary.json"

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    for read in (read_json, read_arrays, Run.read):
        with pytest.raises(Damaged, match=r"summary.json: may not be read; `chmod "):
            read(path)


def test_a_folder_in_the_place_of_a_file(tmp_path):
    for read in (read_json, read_arrays, Run.read):
        with pytest.raises(Damaged, match=r"damaged one \(Is a directory\); restore it"):
            read(tmp_path)


def test_setup_writes_anew_what_cannot_be_read(tmp_path, monkeypatch):
    """It is its own output, so nothing else could mend it."""
    checkout, measured = Checkout(small(), tmp_path), []
    monkeypatch.setattr(setup, "describe", lambda task, _: measured.append(task) or {"id": "x"})
    monkeypatch.setattr(setup, "foretold", lambda *_: ())
    setup.set_up(checkout)
    setup.set_up(checkout)
    assert len(measured) == 1
    written = {path: path.read_bytes() for path in checkout.setup.rglob("*.json")}
    for path in written:
        path.write_text("{")
    setup.set_up(checkout)
    assert len(measured) == 2
    assert {path: path.read_bytes() for path in checkout.setup.rglob("*.json")} == written


def test_a_damaged_checkpoint_is_none(tmp_path):
    path = tmp_path / "seed-1.npz"
    for content in (b"", b"something else", arrays(path), arrays(path, points=np.array("["))):
        path.write_bytes(content)
        assert checkpoint.restore(path) is None


# -- A full disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path, {}),
        lambda path: write_csv(path, [[1]]),
        lambda path: write_arrays(path, {"a": np.ones(3)}),
    ],
    ids=["json", "csv", "npz"],
)
def test_a_full_disk_names_the_file(tmp_path, monkeypatch, write):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pamdp.files.os.fsync", full)
    path = tmp_path / "metrics" / "best.json"
    with pytest.raises(OSError, match=r"No space left on device: .*best.json") as error:
        write(path)
    assert error.value.filename == str(path)


def test_a_full_disk_names_the_model(tmp_path, monkeypatch):
    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    found(tmp_path, INVERTING, {})
    subject = cell("mpdqn", "inverting")
    weights = results.learner_of(subject).evaluated(results.loop_of(subject).programs.like)
    zeros = tf.nest.map_structure(lambda leaf: np.zeros(leaf.shape, np.float32), weights)
    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(ExportError, match=r"models/x: expected a folder that may be written, .*sp"):
        export.save(subject, zeros, tmp_path / "models" / "x")


def test_what_is_missing_is_not_damaged(tmp_path):
    with pytest.raises(PamdpError, match=r"x.json: expected a file, received none") as error:
        read_json(tmp_path / "x.json")
    assert not isinstance(error.value, Damaged)

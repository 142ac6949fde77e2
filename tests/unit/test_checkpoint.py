"""Checkpoints: bit for bit, whole or not at all."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamdp import checkpoint
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.files import read_arrays, write_arrays
from pamdp.learning.loop import LoopState
from pamdp.learning.state import LearnerState
from pamdp.learning.training import Checkpoint, Point, resumed
from tests.helpers import UNBOUNDED, UNIT, differing, experienced, learner

POINTS = [[100, {"eval/return": 0.1 + 0.2, "train/q_mean": -1e-17}], [200, {}]]
NEST = (tf.constant([1.5, -0.0, np.nan]), {"count": tf.constant(7), "flags": tf.constant([True])})
SMALL = Checkpoint([np.asarray(leaf) for leaf in tf.nest.flatten(NEST)], POINTS)


def leaves(nest) -> list:
    arrays = [np.asarray(leaf) for leaf in tf.nest.flatten(nest)]
    return [(array.dtype.name, array.shape, array.tobytes()) for array in arrays]


def at(learner: LearnerState) -> LoopState:
    return LoopState(tf.constant([3.5]), tf.constant([4]), learner)


def save(path: Path, learner: LearnerState) -> None:
    """Writes a checkpoint as training gives it."""
    arrays = [np.asarray(leaf) for leaf in tf.nest.flatten(at(learner))]
    checkpoint.save(path, Checkpoint(arrays, POINTS))


def restore(path: Path, like: LearnerState) -> Any:
    """The state and the points that training goes on from."""
    return resumed(checkpoint.restore(path), at(like))


def far(*numbers: float) -> tf.Tensor:
    return tf.constant([0.1, *numbers], tf.float32)


@pytest.mark.parametrize("bounds", [UNIT, UNBOUNDED], ids=["bounds", "moments"])
def test_a_learner_comes_back_bit_for_bit(tmp_path, bounds) -> None:
    agent = learner(bounds=bounds)
    state = agent.learn(experienced(agent))
    for observation in (far(70.0, 3.0), far(-20.0, 1.0)):
        state = agent.act(state, observation)
    assert len(tf.nest.flatten(state.observed)) == (0 if bounds is UNIT else 3)
    save(tmp_path / "new" / "folder" / "a.npz", state)
    like = agent.initial(tf.constant(1), tf.constant([0.0] * 3))
    found = restore(tmp_path / "new" / "folder" / "a.npz", like)
    assert found is not None
    assert leaves(found[0]) == leaves(at(state))
    restored = found[0].learner
    assert type(restored) is type(state)
    assert leaves(restored) == leaves(state)
    assert differing(restored, state) == []
    assert found[1] == [Point(step, metrics) for step, metrics in POINTS]
    assert differing(agent.learn(restored), agent.learn(state)) == []
    one, other = (agent.act(each, far(5.0, 2.0)) for each in (restored, state))
    assert differing(one, other) == []
    assert restored.observed == () or not np.array_equal(one.observed.mean, state.observed.mean)


def test_a_checkpoint_of_another_seed_is_refused(tmp_path) -> None:
    agent = learner()
    save(tmp_path / "a", agent.initial(tf.constant(1), far(0.2, 0.3)))
    assert restore(tmp_path / "a", agent.initial(tf.constant(2), far(0.2, 0.3))) is None
    assert restore(tmp_path / "a", agent.initial(tf.constant(1), far(0.9, 0.9))) is not None


def test_moments_are_not_taken_for_none(tmp_path) -> None:
    """As when the bounds of an environment have changed since."""
    with_moments, without = (
        learner(bounds=bounds).initial(tf.constant(1), far(0.2, 0.3))
        for bounds in (UNBOUNDED, UNIT)
    )
    for saved, like in ((with_moments, without), (without, with_moments)):
        save(tmp_path / "a", saved)
        assert restore(tmp_path / "a", like) is None


@pytest.mark.parametrize("bounds", [UNIT, UNBOUNDED], ids=["bounds", "moments"])
def test_weights_of_all_seeds_come_back(tmp_path, bounds) -> None:
    agent = learner(bounds=bounds)
    weights = {
        seed: agent.evaluated(agent.initial(tf.constant(seed), far(40.0, 2.0 + seed)))
        for seed in (7, 3)
    }
    checkpoint.save_weights(tmp_path / "new" / "weights.npz", weights)
    like = agent.evaluated(agent.initial(tf.constant(0), far(0.0, 0.0)))
    found = checkpoint.read_weights(tmp_path / "new" / "weights.npz")
    read = {seed: checkpoint.packed(leaves, like, "x") for seed, leaves in found.items()}
    assert list(read) == [7, 3]
    for seed, nest in weights.items():
        assert differing(nest, read[seed]) == []
    if bounds is UNBOUNDED:
        assert read[3].observed.mean.tolist() == np.float32([0.1, 40.0, 5.0]).tolist()


def test_weights_of_other_networks_are_an_error_that_says_so(tmp_path) -> None:
    agent, other = learner(), learner(q__hidden=[5])
    first, second = (
        each.evaluated(each.initial(tf.constant(1), far(0.0, 0.0))) for each in (agent, other)
    )
    checkpoint.save_weights(tmp_path / "weights.npz", {1: first})
    (leaves,) = checkpoint.read_weights(tmp_path / "weights.npz").values()
    with pytest.raises(PamdpError, match="x: expected weights of the networks that"):
        checkpoint.packed(leaves, second, "x")


def test_special_values_and_types_come_back(tmp_path) -> None:
    checkpoint.save(tmp_path / "a", SMALL)
    restored = checkpoint.restore(tmp_path / "a")
    assert restored is not None
    assert leaves(restored.leaves) == leaves(NEST)
    assert restored.points == POINTS


def test_nothing_else_is_left_in_the_folder(tmp_path) -> None:
    checkpoint.save(tmp_path / "a.npz", SMALL)
    checkpoint.save(tmp_path / "a.npz", SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_no_file_is_no_checkpoint(tmp_path) -> None:
    assert checkpoint.restore(tmp_path / "missing.npz") is None
    assert checkpoint.restore(tmp_path) is None


def test_a_file_that_was_cut_short_is_ignored(tmp_path) -> None:
    path = tmp_path / "a.npz"
    checkpoint.save(path, SMALL)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert checkpoint.restore(path) is None, f"of {len(whole)} bytes {length}"


def test_a_file_with_a_changed_byte_is_never_read_wrong(tmp_path) -> None:
    """Some bytes of the container mean nothing, such as times; then the content is the same."""
    path = tmp_path / "a.npz"
    checkpoint.save(path, SMALL)
    whole, ignored = path.read_bytes(), 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        restored = checkpoint.restore(path)
        ignored += restored is None
        assert restored is None or (
            leaves(restored.leaves) == leaves(NEST) and restored.points == POINTS
        )
    assert ignored > len(whole) / 3 / 4


@pytest.mark.parametrize(
    "like",
    [
        (tf.constant([1.5, 2.0]), NEST[1]),  # another shape
        (tf.constant([1, 2, 3]), NEST[1]),  # another type
        (*NEST, tf.constant(1.0)),  # one more
        NEST[0],  # fewer
    ],
    ids=["shape", "type", "more", "fewer"],
)
def test_a_checkpoint_of_something_else_is_ignored(tmp_path, like) -> None:
    checkpoint.save(tmp_path / "a.npz", SMALL)
    assert resumed(checkpoint.restore(tmp_path / "a.npz"), like) is None


def test_the_old_checkpoint_stays_if_writing_fails(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.npz"
    checkpoint.save(path, SMALL)
    before = path.read_bytes()

    write, written = np.lib.format.write_array, []

    def full(file, array, **options) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(array)
        write(file, array, **options)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, SMALL._replace(points=[]))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]  # no half of one


def test_a_file_is_not_unpickled(tmp_path) -> None:
    array = np.array([json.dumps([])], dtype=object)
    np.savez(tmp_path / "a.npz", points=array, **{"0": array})
    assert checkpoint.restore(tmp_path / "a.npz") is None


def test_the_bytes_of_arrays_are_the_same_with_any_release_of_python(tmp_path):
    """Zip headers without what `np.savez` leaves to the interpreter: known sizes, no zip64."""
    write_arrays(tmp_path / "a.npz", {"1/0": np.arange(3, dtype=np.float32)})
    content = (tmp_path / "a.npz").read_bytes()
    assert content[:8] == bytes.fromhex("504b030414000000")
    assert hashlib.md5(content).hexdigest() == "1efb1ecd6e406d32dc93064915eeb3b4"
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npz")["1/0"], [0, 1, 2])

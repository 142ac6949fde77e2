"""Checkpoints: bit for bit, whole or not at all."""

import hashlib
import json

import numpy as np
import pytest

from pamdp import checkpoint
from pamdp.lazy import tf
from tests.helpers import UNBOUNDED, UNIT, differing, experienced, learner

NOTES = [[100, {"eval/return": 0.1 + 0.2, "train/q_mean": -1e-17}], [200, {}]]
SMALL = (tf.constant([1.5, -0.0, np.nan]), {"count": tf.constant(7), "flags": tf.constant([True])})


def leaves(nest) -> list:
    return [(x.dtype.name, x.shape, np.asarray(x).tobytes()) for x in tf.nest.flatten(nest)]


def far(*numbers: float) -> tf.Tensor:
    return tf.constant([0.1, *numbers], tf.float32)


@pytest.mark.parametrize("bounds", [UNIT, UNBOUNDED], ids=["bounds", "moments"])
def test_a_learner_comes_back_bit_for_bit(tmp_path, bounds) -> None:
    agent = learner(bounds=bounds)
    state = agent.learn(experienced(agent))
    for observation in (far(70.0, 3.0), far(-20.0, 1.0)):
        state = agent.act(state, observation)
    assert len(tf.nest.flatten(state.observed)) == (0 if bounds is UNIT else 3)
    checkpoint.save(tmp_path / "new" / "folder" / "a.npz", state, NOTES)
    like = agent.initial(tf.constant(9), tf.constant([0.0] * 3))
    restored = checkpoint.restore(tmp_path / "new" / "folder" / "a.npz", like)
    assert restored is not None
    assert type(restored[0]) is type(state)
    assert leaves(restored[0]) == leaves(state)
    assert differing(restored[0], state) == []
    assert restored[1] == NOTES
    assert differing(agent.learn(restored[0]), agent.learn(state)) == []
    one, other = (agent.act(each, far(5.0, 2.0)) for each in (restored[0], state))
    assert differing(one, other) == []
    assert restored[0].observed == () or not np.array_equal(one.observed.mean, state.observed.mean)


def test_moments_are_not_taken_for_none(tmp_path) -> None:
    """As when the bounds of an environment have changed since."""
    with_moments, without = (
        learner(bounds=bounds).initial(tf.constant(1), far(0.2, 0.3))
        for bounds in (UNBOUNDED, UNIT)
    )
    for saved, like in ((with_moments, without), (without, with_moments)):
        checkpoint.save(tmp_path / "a", saved, NOTES)
        assert checkpoint.restore(tmp_path / "a", like) is None


@pytest.mark.parametrize("bounds", [UNIT, UNBOUNDED], ids=["bounds", "moments"])
def test_weights_of_all_seeds_come_back(tmp_path, bounds) -> None:
    agent = learner(bounds=bounds)
    weights = {
        seed: agent.evaluated(agent.initial(tf.constant(seed), far(40.0, 2.0 + seed)))
        for seed in (7, 3)
    }
    checkpoint.save_weights(tmp_path / "new" / "weights.npz", weights)
    like = agent.evaluated(agent.initial(tf.constant(0), far(0.0, 0.0)))
    read = checkpoint.load_weights(tmp_path / "new" / "weights.npz", like)
    assert list(read) == [7, 3]
    for seed, nest in weights.items():
        assert differing(nest, read[seed]) == []
    if bounds is UNBOUNDED:
        assert read[3].observed.mean.tolist() == np.float32([0.1, 40.0, 5.0]).tolist()


def test_special_values_and_types_come_back(tmp_path) -> None:
    checkpoint.save(tmp_path / "a", SMALL, None)
    assert leaves(checkpoint.restore(tmp_path / "a", SMALL)[0]) == leaves(SMALL)


def test_nothing_else_is_left_in_the_folder(tmp_path) -> None:
    checkpoint.save(tmp_path / "a.npz", SMALL, NOTES)
    checkpoint.save(tmp_path / "a.npz", SMALL, NOTES)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_no_file_is_no_checkpoint(tmp_path) -> None:
    assert checkpoint.restore(tmp_path / "missing.npz", SMALL) is None
    assert checkpoint.restore(tmp_path, SMALL) is None


def test_a_file_that_was_cut_short_is_ignored(tmp_path) -> None:
    path = tmp_path / "a.npz"
    checkpoint.save(path, SMALL, NOTES)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert checkpoint.restore(path, SMALL) is None, f"of {len(whole)} bytes {length}"


def test_a_file_with_a_changed_byte_is_never_read_wrong(tmp_path) -> None:
    """Some bytes of the container mean nothing, such as times; then the content is the same."""
    path = tmp_path / "a.npz"
    checkpoint.save(path, SMALL, NOTES)
    whole, ignored = path.read_bytes(), 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        restored = checkpoint.restore(path, SMALL)
        ignored += restored is None
        assert restored is None or (leaves(restored[0]) == leaves(SMALL) and restored[1] == NOTES)
    assert ignored > len(whole) / 3 / 4


@pytest.mark.parametrize(
    "like",
    [
        (tf.constant([1.5, 2.0]), SMALL[1]),  # another shape
        (tf.constant([1, 2, 3]), SMALL[1]),  # another type
        (*SMALL, tf.constant(1.0)),  # one more
        SMALL[0],  # fewer
    ],
    ids=["shape", "type", "more", "fewer"],
)
def test_a_checkpoint_of_something_else_is_ignored(tmp_path, like) -> None:
    checkpoint.save(tmp_path / "a.npz", SMALL, NOTES)
    assert checkpoint.restore(tmp_path / "a.npz", like) is None


def test_the_old_checkpoint_stays_if_writing_fails(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.npz"
    checkpoint.save(path, SMALL, NOTES)
    before = path.read_bytes()

    def full(file, **arrays) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, SMALL, [])
    assert path.read_bytes() == before


def test_a_file_is_not_unpickled(tmp_path) -> None:
    array = np.array([json.dumps([])], dtype=object)
    np.savez(tmp_path / "a.npz", notes=array, **{"0": array})
    assert checkpoint.restore(tmp_path / "a.npz", tf.constant(1.0)) is None


def test_the_bytes_of_arrays_are_the_same_with_any_release_of_python(tmp_path):
    """Zip headers without what `np.savez` leaves to the interpreter: known sizes, no zip64."""
    checkpoint.save_arrays(tmp_path / "a.npz", {"1/0": np.arange(3, dtype=np.float32)})
    content = (tmp_path / "a.npz").read_bytes()
    assert content[:8] == bytes.fromhex("504b030414000000")
    assert hashlib.md5(content).hexdigest() == "1efb1ecd6e406d32dc93064915eeb3b4"
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["1/0"], [0, 1, 2])

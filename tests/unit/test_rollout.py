"""Greedy episodes side by side: decisions are made for those that go on, and are the same."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from benchmarks.measures import cell_of
from pamdp.base.calls import compiled
from pamdp.base.lazy import tf
from pamdp.learning.cell import policy_of
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Policy
from pamdp.learning.rollout import ROWS, Episodes, greedy, greedy_running, rollout

KEY = tf.constant([1, 2])


@pytest.fixture(scope="module", params=["mpdqn", "mpdqn_heads", "paddpg"])
def cell(request):
    return cell_of("catch_point", request.param)


@pytest.fixture(scope="module")
def weights(cell):
    """Weights of a policy whose decisions differ."""
    loop = loop_of(cell)
    spread = partial(tf.random.stateless_normal, seed=[3, 4], stddev=0.3)
    return tf.nest.map_structure(
        lambda leaf: leaf + spread(leaf.shape), loop.weights(loop.initial(1))
    )


def observations(number: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).uniform(-1, 1, size=[number, 4]), tf.float32)


def test_running_copies_do_as_all_together_and_others_as_one_of_them(cell, weights) -> None:
    policy, number = policy_of(cell), 400
    running = np.random.default_rng(2).random(number) < 0.4
    running[:2] = False
    some = compiled(partial(greedy_running, policy, weights))(
        observations(number), tf.constant(running), KEY
    )
    together = compiled(partial(greedy, policy, weights))(observations(number), KEY)
    first = np.flatnonzero(running)[0]
    before = np.maximum.accumulate(np.where(running, np.arange(number), first))
    for found, expected in zip(some, together, strict=True):
        np.testing.assert_array_equal(found, np.asarray(expected)[before])
    assert len(np.unique(np.asarray(some.scaled)[running])) > 100  # no two alike by chance


@pytest.mark.parametrize(("left", "blocks"), [(1, 1), (ROWS, 1), (ROWS + 1, 2), (400, 4)])
def test_as_many_are_decided_for_as_are_left(cell, weights, monkeypatch, left, blocks) -> None:
    asked = []
    decide = Policy.greedy

    def counted(self, weights, observation):
        asked.append(len(observation))
        return decide(self, weights, observation)

    monkeypatch.setattr(Policy, "greedy", counted)
    running = tf.constant(np.arange(400) >= 400 - left)
    greedy_running(policy_of(cell), weights, observations(400), running, KEY)
    assert asked == [ROWS] * blocks


@pytest.mark.parametrize("number", [ROWS, 4 * ROWS])
def test_episodes_are_those_of_deciding_for_all(cell, weights, number) -> None:
    def episodes(decide) -> Episodes:
        play = partial(rollout, decide, cell.task, num_episodes=number)
        return tf.nest.map_structure(np.asarray, compiled(play)(KEY))

    policy = policy_of(cell)
    some = episodes(partial(greedy_running, policy, weights))
    every = episodes(lambda observation, _, key: greedy(policy, weights, observation, key))
    if cell.algorithm.kind == "paddpg" and number > ROWS:
        # Its one wide pass is laid out otherwise in the smaller program, and last bits differ.
        assert np.mean(some.returns) == pytest.approx(np.mean(every.returns), rel=0.01)
        return
    for found, expected in zip(some[:3], every[:3], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(set(some.lengths)) > 1

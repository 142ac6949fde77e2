"""The sparse form of environments against the environments themselves."""

from functools import cache, partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.wrappers import TimeLimit
from pydantic import TypeAdapter

from pamdp.base.component import floats, with_floats
from pamdp.base.environment import Environment, Path
from pamdp.bridge.adapter import FunctionalEnv
from pamdp.envs.hard_move import HardMove
from pamdp.envs.members import MEMBERS
from pamdp.envs.platform import Platform
from pamdp.envs.point_mass import Body
from pamdp.envs.sparse import Sparse
from pamdp.learning.rollout import Episodes, rollout, uniform

MOVE, PLATFORM = HardMove(kind="hard_move"), Platform(kind="platform", noise=0.5)
KEY = (3, 4)


def sparse(task: Environment) -> Sparse:
    return Sparse(kind="sparse", task=task)


@cache
def random_policy(task: Environment, episodes: int) -> Episodes:
    @tf.function(jit_compile=True, autograph=False)
    def play(key: tf.Tensor) -> Episodes:
        return rollout(partial(uniform, task.actions), task, key, episodes)

    return tf.nest.map_structure(lambda leaf: leaf.numpy(), play(tf.constant(KEY)))


# -- What is paid ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MEMBERS)
def test_same_episodes_and_same_returns(kind: str) -> None:
    task = MEMBERS[kind].variants()[0]
    dense, held = (random_policy(each, 200) for each in (task, sparse(task)))
    np.testing.assert_array_equal(held.lengths, dense.lengths)
    np.testing.assert_array_equal(held.successes, dense.successes)
    np.testing.assert_allclose(held.returns, dense.returns, rtol=1e-6)
    assert np.ptp(dense.returns) > 0


def test_the_time_limit_pays_too() -> None:
    episodes = random_policy(sparse(MOVE), 200)
    late = (episodes.lengths == MOVE.time_limit) & (episodes.successes == 0)
    assert 100 < late.sum() < 200
    assert (episodes.returns[late] < 0).all()


def stepped(task: Environment, state: Any, actions: list[int]) -> list[Any]:
    """Outcomes of hand-picked actions with parameter 1 in every copy."""

    @tf.function(jit_compile=True, autograph=False)
    def step(state: Any, action: tf.Tensor) -> Any:
        batch = tf.fill([2], action), tf.ones([2, 1])
        return task.transition(state, *batch, tf.constant(KEY))

    outcomes = []
    for action in actions:
        outcomes.append(step(state, tf.constant(action)))
        state = outcomes[-1].state
    return outcomes


def test_each_copy_is_paid_at_its_own_end() -> None:
    # The first body goes east to its target, the second one stays too far away to the end.
    task, east, limit = sparse(MOVE), 0b1000, MOVE.time_limit
    body = Body(tf.zeros([2, 2]), tf.zeros([2, 2]), tf.constant([[0.3, 0.0], [-1.0, 0.5]]))
    start = task.initial(tf.constant(KEY), 2)._replace(task=body)
    actions = [east] * limit
    dense, held = stepped(MOVE, body, actions), stepped(task, start, actions)
    reached = 1 + next(t for t, outcome in enumerate(held) if outcome.terminated.numpy()[0])
    assert 3 < reached < limit
    for copy, end in ((0, reached), (1, limit)):
        paid = [outcome.reward.numpy()[copy] for outcome in held[:end]]
        assert not any(paid[:-1])
        expected = sum(outcome.reward.numpy()[copy] for outcome in dense[:end])
        np.testing.assert_allclose(paid[-1], expected, rtol=1e-6)
    assert held[reached - 1].success.numpy().tolist() == [True, False]
    assert not any(outcome.terminated.numpy()[1] for outcome in held)
    assert held[-1].state.elapsed.numpy().tolist() == [limit, limit]


def test_nothing_is_carried_over_to_the_next_episode() -> None:
    dense, held = (TimeLimit(FunctionalEnv(task), MOVE.time_limit) for task in (MOVE, sparse(MOVE)))
    spec, random = MOVE.actions, np.random.default_rng(1)
    observations = [env.reset(seed=5)[0] for env in (dense, held)]
    for _ in range(3):
        rewards, over = [], False
        while not over:
            np.testing.assert_array_equal(*observations)
            action = spec.element(int(random.integers(16)), random.uniform(-1, 1, 1))
            steps = [env.step(action) for env in (dense, held)]
            assert steps[0][2:] == steps[1][2:]
            observations = [step[0] for step in steps]
            rewards.append([step[1] for step in steps])
            over = steps[0][2] or steps[0][3]
        earned, paid = np.transpose(rewards)
        np.testing.assert_allclose(paid[-1], earned.sum(), rtol=1e-6)
        assert not paid[:-1].any()
        observations = [env.reset()[0] for env in (dense, held)]


# -- Everything else is the task's -----------------------------------------------------------------


def test_names_and_variants() -> None:
    assert sparse(MOVE).gymnasium_id == "pamdp/SparseHardMove4-v0"
    dense = [v.gymnasium_id for member in MEMBERS.values() for v in member.variants()]
    assert [v.gymnasium_id.replace("Sparse", "", 1) for v in Sparse.variants()] == dense
    made = gymnasium.make("pamdp/SparseHardMove6-v0")
    assert made.unwrapped.environment == sparse(HardMove(kind="hard_move", actuators=6))
    assert made.spec is not None
    assert made.spec.max_episode_steps == 30


def test_settings() -> None:
    parsed = TypeAdapter(Sparse).validate_python(
        {"kind": "sparse", "task": {"kind": "platform", "version": "v0", "noise": 0.5}}
    )
    assert parsed == sparse(PLATFORM)
    assert floats(parsed) == {"task.noise": 0.5}
    assert with_floats(parsed, {"task.noise": 0.25}).task.noise == 0.25
    with pytest.raises(ValueError, match="sparse"):
        sparse(sparse(MOVE))  # in itself


@pytest.mark.parametrize("task", [MOVE, PLATFORM], ids=["hard_move", "platform"])
def test_spaces(task: Environment) -> None:
    wrapped = sparse(task)
    assert wrapped.actions is task.actions
    assert wrapped.time_limit == task.time_limit
    np.testing.assert_array_equal(wrapped.observation_low, task.observation_low)
    np.testing.assert_array_equal(wrapped.observation_high, task.observation_high)
    state = wrapped.initial(tf.constant(KEY), 3)
    np.testing.assert_array_equal(wrapped.observation(state), task.observation(state.task))


def test_path_and_picture() -> None:
    task, hop = sparse(PLATFORM), (tf.constant([1]), tf.constant([[300.0]]))
    state = task.initial(tf.constant(KEY), 1)._replace(
        elapsed=tf.constant([7]), earned=tf.constant([0.5])
    )

    @tf.function(jit_compile=True, autograph=False)
    def paths(key: tf.Tensor) -> tuple[Path, Path]:
        return task.path(state, *hop, key), PLATFORM.path(state.task, *hop, key)

    path, expected = paths(tf.constant(KEY))
    assert int(path.length) == int(expected.length) > 100
    for found, wanted in zip(path.states.task, expected.states, strict=True):
        np.testing.assert_array_equal(found, wanted)
    ticks = len(path.states.task.x)
    assert path.states.elapsed.numpy().tolist() == [[7]] * ticks
    assert path.states.earned.numpy().tolist() == [[0.5]] * ticks
    np.testing.assert_array_equal(task.picture(state, "hop"), PLATFORM.picture(state.task, "hop"))

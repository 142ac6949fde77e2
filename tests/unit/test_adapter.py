"""The Gymnasium form of a small environment: which random numbers it uses, and its actions."""

from typing import ClassVar, Literal, NamedTuple

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from pamdp.base import seeding
from pamdp.base.environment import Outcome, Versioned
from pamdp.base.spaces import Action, ActionSpec
from pamdp.bridge.adapter import FunctionalEnv


class Draws(NamedTuple):
    start: tf.Tensor  # [B], drawn at the reset
    draw: tf.Tensor  # [B], drawn in the last transition


class Probe(Versioned):
    """Shows the random numbers that it is given, and the parameters that it receives."""

    kind: Literal["probe"] = "probe"
    version: Literal["v0"] = "v0"
    bonus: float = 0.0

    actions: ClassVar[ActionSpec] = ActionSpec(
        (
            Action("go", (0.0, 0.0), (1.0, 1.0)),
            Action("stay", (), ()),
            Action("stop", (0.0,), (1.0,)),
        )
    )
    observation_low: ClassVar[np.ndarray] = np.zeros(2, np.float32)
    observation_high: ClassVar[np.ndarray] = np.ones(2, np.float32)
    time_limit: ClassVar[int] = 10

    def initial(self, key: tf.Tensor, batch: int) -> Draws:
        return Draws(seeding.uniform(key, [batch]), tf.zeros([batch]))

    def observation(self, state: Draws) -> tf.Tensor:
        return tf.stack(state, axis=-1)

    def transition(
        self, state: Draws, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        reward = tf.reduce_sum(parameters * [1.0, 10.0], axis=-1) + self.bonus
        draw = seeding.uniform(key, [action.shape[0]])
        return Outcome(state._replace(draw=draw), reward, action == 2, action == 2)

    def picture(self, state: Draws, caption: str = "") -> np.ndarray:
        return np.full((2, 2, 3), len(caption), np.uint8)


GO = (0, (np.float32([0.25, 0.5]), np.zeros(0, np.float32), np.zeros(1, np.float32)))
STAY, STOP = (1, GO[1]), (2, GO[1])


@tf.function(jit_compile=True, autograph=False)
def drawn(key: tf.Tensor) -> tf.Tensor:
    return seeding.uniform(key, [1])


def draw(seed: int, name: str, step: int) -> np.ndarray:
    return drawn(seeding.stream(seed, name, step)).numpy()[0]


def test_streams_are_those_of_the_compiled_loop() -> None:
    env = FunctionalEnv(Probe())
    observation, info = env.reset(seed=4)
    assert info == {}
    np.testing.assert_array_equal(observation, [draw(4, "reset", 0), 0])
    for count in range(3):
        observation, *_ = env.step(STAY)
        expected = [draw(4, "reset", 0), draw(4, "environment", count)]
        np.testing.assert_array_equal(observation, expected)
    # Counting goes on in the next episode.
    observation, _ = env.reset()
    np.testing.assert_array_equal(observation, [draw(4, "reset", 3), 0])
    observation, *_ = env.step(STAY)
    np.testing.assert_array_equal(observation, [draw(4, "reset", 3), draw(4, "environment", 3)])
    # A seed starts it anew.
    observation, _ = env.reset(seed=4)
    np.testing.assert_array_equal(observation, [draw(4, "reset", 0), 0])


def test_resets_in_a_row_differ() -> None:
    env = FunctionalEnv(Probe())
    starts = [env.reset(seed=4)[0][0], *(env.reset()[0][0] for _ in range(9))]
    assert len(set(starts)) == 10


def test_without_a_seed_it_is_drawn() -> None:
    starts = {FunctionalEnv(Probe()).reset()[0][0] for _ in range(3)}
    assert len(starts) == 3


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**40])
def test_any_seed_of_gymnasium(seed: int) -> None:
    env = FunctionalEnv(Probe())
    observation, _ = env.reset(seed=seed)
    assert observation[0] == draw(seed % 2**31, "reset", 0)


def test_actions() -> None:
    env = FunctionalEnv(Probe())
    env.reset(seed=1)
    _, reward, terminated, truncated, info = env.step(GO)
    assert (reward, terminated, truncated, info) == (5.25, False, False, {"success": False})
    assert env.step(STAY)[1] == 0
    blocks = ([0.0, 0.0], [], [0.5])  # lists and other integers will do
    assert env.step((np.int64(2), blocks))[1:] == (0.5, True, False, {"success": True})


def test_only_the_chosen_parameters_matter() -> None:
    env = FunctionalEnv(Probe())
    env.reset(seed=1)
    env.step((1, (np.full(2, np.nan), np.zeros(0), np.zeros(1))))


def test_floats_are_inputs() -> None:
    plain, other = FunctionalEnv(Probe()), FunctionalEnv(Probe(bonus=0.5))
    for env in (plain, other):
        env.reset(seed=1)
    assert other.step(GO)[1] == plain.step(GO)[1] + 0.5
    assert plain._programs is other._programs


def test_pictures() -> None:
    env = FunctionalEnv(Probe(), render_mode="rgb_array")
    env.reset(seed=1)
    assert env.render()[0, 0, 0] == 0
    env.step(GO)
    assert env.render()[0, 0, 0] == len("go 0.25 0.5")
    # An environment without ticks has one picture for each action.
    assert len(env.frames()) == 1


def test_without_a_render_mode_nothing_is_drawn() -> None:
    env = FunctionalEnv(Probe())
    env.reset(seed=1)
    with pytest.warns(UserWarning, match="render_mode='rgb_array'"):
        assert env.render() is None


def test_several_at_once() -> None:
    envs = gymnasium.vector.SyncVectorEnv([lambda: FunctionalEnv(Probe()) for _ in range(3)])
    observations, _ = envs.reset(seed=5)
    assert observations[:, 0].tolist() == [draw(seed, "reset", 0) for seed in (5, 6, 7)]
    _, rewards, *_ = envs.step(envs.action_space.sample())
    assert rewards.shape == (3,)

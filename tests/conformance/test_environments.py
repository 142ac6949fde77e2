"""What every registered environment keeps to. New ones are picked up from their list."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.utils.env_checker import check_env

import pamdp
from pamdp import seeding
from pamdp.envs import ENVIRONMENTS, Environment
from pamdp.envs.adapter import RegisteredEnv

IDS = [name for name in gymnasium.registry if name.startswith("pamdp/")]
STEPS = 100

all_environments = pytest.mark.parametrize("name", IDS)


@pytest.fixture
def env(name: str) -> Iterator[Any]:
    made = gymnasium.make(name, render_mode="rgb_array")
    yield made
    made.close()


def random_action(env: Any, random: np.random.Generator) -> tuple:
    """Quick where `action_space.sample()` is not: with a thousand actions."""
    spec = env.unwrapped.environment.actions
    index = int(random.integers(spec.num_actions))
    own = spec.owned[index] > 0
    return spec.element(index, random.uniform(spec.low[own], spec.high[own]))


def rollout(env: Any, seed: int, steps: int = 20) -> list[tuple]:
    """What a random policy meets with, episodes one after another."""
    random = np.random.default_rng(seed)
    met: list[tuple] = [env.reset(seed=seed)]
    for _ in range(steps):
        met.append(env.step(random_action(env, random)))
        if met[-1][2] or met[-1][3]:
            met.append(env.reset())
    return met


# -- The list --------------------------------------------------------------------------------------


def is_abstract(member: type[Environment]) -> bool:
    """A base of environments has no name of its own."""
    return member.model_fields["kind"].annotation is str


def test_every_file_is_listed() -> None:
    found = {}
    for info in pkgutil.iter_modules(pamdp.envs.__path__):
        module = importlib.import_module(f"pamdp.envs.{info.name}")
        for _, member in inspect.getmembers(module, inspect.isclass):
            defined_here = member.__module__ == module.__name__
            if defined_here and issubclass(member, Environment) and not is_abstract(member):
                found[info.name] = member
    assert found == ENVIRONMENTS, "list each environment in pamdp/envs/__init__.py"
    for file, member in found.items():
        assert get_args(member.model_fields["kind"].annotation) == (file,)


def test_every_environment_is_registered() -> None:
    assert set(IDS) == {
        v.gymnasium_id for member in ENVIRONMENTS.values() for v in member.variants()
    }
    assert "pamdp/Platform-v0" in IDS


def test_import_registers_without_tensorflow() -> None:
    code = (
        "import pamdp, sys, gymnasium; "
        "print('pamdp/Platform-v0' in gymnasium.registry, 'tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "True False\n"


def test_version() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert pamdp.__version__ == pyproject["project"]["version"]


# -- All of them -----------------------------------------------------------------------------------


@all_environments
def test_check_env(env: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    # Parameters are in the environment's units on purpose: scaling them is the learner's business.
    own = [str(w.message) for w in caught if "symmetric and normalized space" not in str(w.message)]
    assert own == []


@all_environments
def test_spaces(env: Any) -> None:
    environment = env.unwrapped.environment
    assert env.spec.max_episode_steps == environment.max_episode_steps
    assert env.observation_space.dtype == np.float32
    np.testing.assert_array_equal(env.observation_space.low, environment.observation_low)
    np.testing.assert_array_equal(env.observation_space.high, environment.observation_high)
    for step in rollout(env, seed=5, steps=STEPS):
        assert step[0] in env.observation_space


@all_environments
def test_same_seed_same_numbers(env: Any, name: str) -> None:
    first, second = rollout(env, seed=3), rollout(gymnasium.make(name), seed=3)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:] == other[1:]


@all_environments
def test_other_seed_other_numbers(env: Any) -> None:
    env.action_space.seed(1)
    action = env.action_space.sample()
    ends = []
    for seed in (1, 2):
        env.reset(seed=seed)
        ends.append(env.step(action)[0])
    assert (ends[0] != ends[1]).any()


def compiled_loop(environment: Environment, seed: int) -> dict[str, np.ndarray]:
    """The functional form in one program, as training runs it, with random actions."""
    spec = environment.actions

    def step(seed, t, state, elapsed, rows):
        key = seeding.stream(seed, "test", t)
        action = seeding.integers(key, [1], spec.num_actions)
        units = 2 * seeding.uniform(seeding.fold(key, 1), [1, spec.num_parameters]) - 1
        parameters = spec.take(spec.unscale(units), action)
        outcome = environment.transition(
            state, action, parameters, seeding.stream(seed, "environment", t)
        )
        fresh = environment.initial(seeding.stream(seed, "reset", t + 1), 1)
        elapsed += 1
        truncated = elapsed >= environment.max_episode_steps
        over = outcome.terminated[0] | truncated
        state = tf.cond(over, lambda: fresh, lambda: outcome.state)
        row = {
            "action": action,
            "parameters": parameters,
            "observation": environment.observation(outcome.state),
            "reward": outcome.reward,
            "terminated": outcome.terminated,
            "truncated": truncated[None],
            "success": outcome.success,
            "next": environment.observation(state),
        }
        rows = {name: rows[name].write(t, row[name][0]) for name in row}
        return t + 1, state, tf.where(over, 0, elapsed), rows

    @tf.function(jit_compile=True, autograph=False)
    def loop(seed):  # a constant would be drawn from while compiling, which gives other floats
        size, m = len(environment.observation_low), spec.max_size
        kinds = {
            "action": (tf.int32, []),
            "parameters": (tf.float32, [m]),
            "observation": (tf.float32, [size]),
            "reward": (tf.float32, []),
            "terminated": (tf.bool, []),
            "truncated": (tf.bool, []),
            "success": (tf.bool, []),
            "next": (tf.float32, [size]),
        }
        rows = {
            name: tf.TensorArray(dtype, STEPS, element_shape=shape)
            for name, (dtype, shape) in kinds.items()
        }
        begin = (0, environment.initial(seeding.stream(seed, "reset", 0), 1), 0, rows)
        end = tf.while_loop(lambda t, *_: t < STEPS, partial(step, seed), begin)
        return {name: row.stack() for name, row in end[3].items()}

    return {name: rows.numpy() for name, rows in loop(tf.constant(seed)).items()}


@all_environments
def test_gymnasium_form_equals_functional_form(env: Any) -> None:
    environment = env.unwrapped.environment
    expected = compiled_loop(environment, seed=11)
    assert (expected["terminated"] | expected["truncated"]).any()
    spec = environment.actions
    observation, _ = env.reset(seed=11)
    for t in range(STEPS):
        row = {name: rows[t] for name, rows in expected.items()}
        action = spec.element(int(row["action"]), row["parameters"])
        observation, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_array_equal(observation, row["observation"])
        assert (reward, terminated, truncated) == (
            row["reward"],
            row["terminated"],
            row["truncated"],
        )
        assert info == {"success": row["success"]}
        if terminated or truncated:
            observation, _ = env.reset()
        np.testing.assert_array_equal(observation, row["next"])


@all_environments
def test_action_space_round_trip(env: Any) -> None:
    spec, space = env.unwrapped.environment.actions, env.action_space
    space.seed(7)
    for _ in range(10):
        index, blocks = space.sample()
        flat = np.concatenate(blocks)
        scaled = spec.scale(flat)
        assert (np.abs(scaled) <= 1 + 1e-6).all()
        np.testing.assert_allclose(spec.unscale(scaled), flat, rtol=1e-4, atol=1e-4)
        padded = spec.pad(tf.constant(flat[None])).numpy()[0]
        for row, block in zip(padded, blocks, strict=True):
            np.testing.assert_array_equal(row, np.pad(block, (0, spec.max_size - len(block))))
        taken = spec.take(tf.constant(flat[None]), tf.constant([index], tf.int32))
        np.testing.assert_array_equal(taken[0], padded[index])


@all_environments
def test_picture(env: Any) -> None:
    env.action_space.seed(2)
    env.reset(seed=2)
    before = env.render()
    assert before.dtype == np.uint8
    assert before.shape[2] == 3
    assert before.shape[0] % 2 == before.shape[1] % 2 == 0  # as video encoders want it
    env.step(env.action_space.sample())
    after = env.render()
    assert after.shape == before.shape
    assert (after != before).any()


@all_environments
def test_frames_are_a_film(env: Any) -> None:
    env.action_space.seed(2)
    env.reset(seed=2)
    base = env.unwrapped
    (start,) = base.frames()
    np.testing.assert_array_equal(start, env.render())
    env.step(env.action_space.sample())
    ticks, film, end = (base.frames(every) for every in (1, 4, 10_000))
    assert (len(film), len(end)) == (-(-len(ticks) // 4), 1)
    for frames in (ticks, film, end):
        np.testing.assert_array_equal(frames[-1], env.render())
    for number, frame in enumerate(film[:-1]):
        np.testing.assert_array_equal(frame, ticks[4 * number + 3])


@all_environments
def test_step_after_the_end(env: Any) -> None:
    base = env.unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        base.step(base.action_space.sample())
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        base.render()
    random = np.random.default_rng(1)
    for seed in range(500):  # some first action ends the task
        base.reset(seed=seed)
        if base.step(random_action(env, random))[2]:
            break
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        base.step(base.action_space.sample())
    base.reset()
    base.step(base.action_space.sample())


@all_environments
def test_malformed_actions(env: Any) -> None:
    base, spec = env.unwrapped, env.unwrapped.environment.actions
    blocks = tuple(np.zeros(size, np.float32) for size in spec.sizes)
    number, names = spec.num_actions, ", ".join(action.name for action in spec.actions)
    base.reset(seed=1)
    for action, expected in [
        (0, rf"action: expected a pair .*{names}.*, received 0"),
        ((0, *blocks, 1), r"action: expected a pair"),
        ((number, blocks), rf"from 0 to {number - 1}, one of {names}, received {number}"),
        ((-1, blocks), r"received -1"),
        ((0.5, blocks), r"received 0.5"),
        ((0, blocks[1:]), rf"expected a tuple of {number} arrays, the parameters of {names}"),
        ((0, blocks[0]), rf"expected a tuple of {number} arrays"),
    ]:
        with pytest.raises(ValueError, match=expected):
            base.step(action)
    index = int(np.argmax(spec.sizes))
    for wrong in (np.zeros(spec.max_size + 1), np.full(spec.max_size, np.nan), "x", None):
        given = (*blocks[:index], wrong, *blocks[index + 1 :])
        with pytest.raises(ValueError, match=rf"action\[1\]\[{index}\]: expected .* finite number"):
            base.step((index, given))
    base.step((index, blocks))  # none of them has done any harm


@all_environments
def test_instances_share_their_programs(env: Any, name: str) -> None:
    rollout(env, seed=1, steps=3)
    step = env.unwrapped._programs.step
    other = gymnasium.make(name)
    rollout(other, seed=2, steps=3)
    assert other.unwrapped._programs.step is step


def test_other_floats_share_their_programs() -> None:
    loud, quiet = gymnasium.make("pamdp/Platform-v0"), gymnasium.make("pamdp/Platform-v0", noise=0)
    action = (1, tuple(np.full(1, 300, np.float32) for _ in range(3)))
    ends = []
    for made in (loud, quiet):
        made.reset(seed=1)
        ends.append(made.step(action)[0])
    assert (ends[0] != ends[1]).any()
    assert loud.unwrapped._programs is quiet.unwrapped._programs


@all_environments
def test_settings_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match="no_such_setting"):
        gymnasium.make(name, no_such_setting=1.0)


def test_render_mode_is_checked() -> None:
    with pytest.raises(ValueError, match=r"render_mode: expected None or one of .*'ansi'"):
        RegisteredEnv("platform", render_mode="ansi")

"""What every registered environment keeps to. New ones are picked up from their list."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import tomllib
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

import pamdp
from pamdp.base import seeding
from pamdp.base.component import floats, with_floats
from pamdp.base.environment import Environment
from pamdp.base.spaces import Action, ActionSpec
from pamdp.base.task import Task
from pamdp.bridge.tasks import TASKS
from pamdp.envs import ENVIRONMENTS
from pamdp.provenance import follow
from tests.conformance.playing import rollout

STEPS = 100

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
    known = {name for name in gymnasium.registry if name.startswith("pamdp/")}
    assert known == {v.gymnasium_id for member in ENVIRONMENTS.values() for v in member.variants()}
    assert "pamdp/Platform-v0" in known


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


# -- As tasks --------------------------------------------------------------------------------------


def test_what_is_registered_under_its_id_is_the_task(task: Environment) -> None:
    assert isinstance(task, Task)
    assert type(task) is ENVIRONMENTS[task.kind] is TASKS[task.kind]
    spec = gymnasium.spec(task.gymnasium_id)
    assert type(task).model_validate(spec.kwargs) == task
    assert type(task.time_limit) is int
    assert spec.max_episode_steps == task.time_limit > 0


def test_it_keeps_to_its_interface(task: Environment) -> None:
    task.check()
    low, high = task.observation_low, task.observation_high
    assert low.dtype == high.dtype == np.float32
    assert low.shape == high.shape == (len(low),)
    assert (low < high).all()
    names = [action.name for action in task.actions.actions]
    assert len(set(names)) == len(names)
    assert task.render_modes == ("rgb_array",)


def test_it_can_be_told_in_json(task: Environment) -> None:
    described = task.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert set(described) == {"id", "max_episode_steps", "observation", "actions"}
    assert described["id"] == task.gymnasium_id
    assert described["max_episode_steps"] == task.time_limit
    assert described["observation"]["shape"] == [len(task.observation_low)]
    for key, ends in (("low", task.observation_low), ("high", task.observation_high)):
        # Null stands for no bound.
        told = [value if np.isfinite(value) else None for value in ends.tolist()]
        assert described["observation"][key] == told
    actions = tuple(
        Action(
            each["name"],
            tuple(each["low"]),
            tuple(each["high"]),
            tuple(each.get("features", ())),
        )
        for each in described["actions"]
    )
    assert ActionSpec(actions) == task.actions


def test_its_sources_are_its_own_modules(task: Environment) -> None:
    assert type(task).__module__ in task.sources
    assert all(name.startswith("pamdp.envs.") for name in task.sources)
    assert task.sources <= set(follow(task.sources).files)


@pytest.mark.parametrize("mode", [None, "rgb_array"])
def test_what_it_makes_fits(task: Environment, mode: str | None) -> None:
    with closing(task.make(mode)) as made:
        assert made.unwrapped.environment == task
        assert made.render_mode == mode
        assert made.spec.id == task.gymnasium_id
        assert made.spec.max_episode_steps == task.time_limit
        assert made.action_space == task.actions.space()
        box = gymnasium.spaces.Box(task.observation_low, task.observation_high, dtype=np.float32)
        assert made.observation_space == box
        observation, _ = made.reset(seed=1)
        assert observation.dtype == np.float32
        assert observation in box
        assert (made.render() is not None) if mode else True


def test_what_it_makes_has_its_settings(task: Environment) -> None:
    other = with_floats(task, {path: value / 2 for path, value in floats(task).items()})
    with closing(other.make()) as made:
        assert made.unwrapped.environment == other


def test_an_episode_is_cut_off_at_the_time_limit(task: Environment, monkeypatch) -> None:
    with closing(task.make()) as made:
        observation, _ = made.reset(seed=1)
        endless = observation, 0.0, False, False, {}
        monkeypatch.setattr(made.unwrapped, "step", lambda action: endless)
        cut = [made.step(None)[3] for _ in range(task.time_limit)]
    assert cut == [False] * (task.time_limit - 1) + [True]


# -- As dynamics -----------------------------------------------------------------------------------


def test_spaces(env: Any) -> None:
    environment = env.unwrapped.environment
    assert env.spec.max_episode_steps == environment.time_limit
    assert env.observation_space.dtype == np.float32
    np.testing.assert_array_equal(env.observation_space.low, environment.observation_low)
    np.testing.assert_array_equal(env.observation_space.high, environment.observation_high)
    for step in rollout(env, seed=5, steps=STEPS):
        assert step[0] in env.observation_space


def test_same_seed_same_numbers(env: Any, task: Environment) -> None:
    first, second = rollout(env, seed=3), rollout(gymnasium.make(task.gymnasium_id), seed=3)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:] == other[1:]


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
        truncated = elapsed >= environment.time_limit
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

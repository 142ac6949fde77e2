"""Export of a trained policy as a SavedModel, and the proof that it acts as it did in training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pamdp import host, seeding
from pamdp.agents.policy import Policy, Weights, send
from pamdp.envs.base import Environment
from pamdp.envs.gymnasium import Gymnasium
from pamdp.evaluation import Episodes, Sent, rollout
from pamdp.lazy import tf
from pamdp.programs import policy_of
from pamdp.settings import Cell

# The model's sums run in another order.
PARAMETER_TOLERANCE = 1e-4  # of a parameter's range
VALUE_TOLERANCE = 1e-4  # of the largest action value: of actions as good as equal either is right


class ExportError(RuntimeError):
    """An exported model does not act as the trained policy did."""


def save(cell: Cell, weights: Weights, folder: Path) -> None:
    """Writes a policy as a SavedModel with the signature `serving_default`.

    Input: `observation` [N, S] float32, raw. Outputs: `action` [N] int32, `parameters` [N, m] of
    that action in environment units, padded with zeros, `num_parameters` [N] int32 how many of
    them count, `all_parameters` [N, P] of all actions, and `q_values` [N, K].

    Equal policies give equal bytes in a fresh process; TensorFlow numbers what it traces, so a
    process that saved before gives others.

    Args:
      cell: what was trained.
      weights: of the policy.
      folder: is created or replaced.
    """
    policy = policy_of(cell)
    arrays = tf.nest.map_structure(np.asarray, weights)
    shape = tf.TensorSpec([None, policy.features], tf.float32, "observation")

    @tf.function(input_signature=[shape], autograph=False)
    def serve(observation: tf.Tensor) -> dict[str, tf.Tensor]:
        # Constants, not variables: all that follows from them alone is computed once, at loading.
        return _answers(policy, tf.nest.map_structure(tf.constant, arrays), observation)

    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    # A random number, which nothing needs to load the model.
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _answers(policy: Policy, weights: Weights, observation: tf.Tensor) -> dict[str, tf.Tensor]:
    spec = policy.q_function.spec
    decision = policy.greedy(weights, observation)
    everything = spec.unscale(tf.clip_by_value(decision.parameters, -1.0, 1.0))
    return {
        "action": decision.action,
        "parameters": send(spec, decision.parameters, decision.action),
        "num_parameters": tf.gather(tf.constant(spec.sizes, tf.int32), decision.action),
        "all_parameters": everything,
        "q_values": decision.q,
    }


def signature(cell: Cell) -> dict[str, list[tuple[str, str, list[int]]]]:
    """Names, types and shapes of a model's tensors; -1 is the batch."""
    spec = cell.task.actions
    return {
        "inputs": [("observation", "float32", [-1, len(cell.task.observation_low)])],
        "outputs": [
            ("action", "int32", [-1]),
            ("all_parameters", "float32", [-1, spec.num_parameters]),
            ("num_parameters", "int32", [-1]),
            ("parameters", "float32", [-1, spec.max_size]),
            ("q_values", "float32", [-1, spec.num_actions]),
        ],
    }


# Run by a fresh interpreter that knows TensorFlow and NumPy, neither this package nor Keras.
READER = """
import sys
sys.modules["pamdp"] = sys.modules["keras"] = None
import numpy as np
import tensorflow as tf

for folder, observations, answers in zip(*[iter(sys.argv[1:])] * 3):
    serve = tf.saved_model.load(folder).signatures["serving_default"]
    outputs = serve(observation=np.load(observations))
    np.savez(answers, **{name: tensor.numpy() for name, tensor in outputs.items()})
"""


def answers_of(
    folders: Sequence[Path], observations: Sequence[np.ndarray], scratch: Path
) -> list[dict[str, np.ndarray]]:
    """What saved models answer in a fresh process without this package.

    Args:
      folders: SavedModels.
      observations: for each of them [N, S] float32.
      scratch: an existing folder for what is passed between the processes.

    Returns:
      For each model its outputs by name.
    """
    files, arguments = [], []
    for index, (folder, rows) in enumerate(zip(folders, observations, strict=True)):
        asked, answered = scratch / f"{index}.npy", scratch / f"{index}.npz"
        np.save(asked, rows)
        files.append(answered)
        arguments += [str(folder), str(asked), str(answered)]
    done = subprocess.run(
        [sys.executable, "-c", READER, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ExportError(f"exported models cannot be loaded:\n{done.stderr[-2000:]}")
    return [dict(np.load(file, allow_pickle=False)) for file in files]


def check(cell: Cell, weights: Weights, observations: Any, answers: Mapping[str, Any]) -> float:
    """Compares a saved model's answers with the trained policy's.

    Args:
      cell: what was trained.
      weights: of the policy.
      observations: [N, S] float32, raw.
      answers: what the model answered, by name.

    Returns:
      The largest difference of a parameter, as a share of its range.

    Raises:
      ExportError: another action, if the policy values it less, numbers beyond tolerance, or
        outputs that contradict each other.
    """
    spec = cell.task.actions
    policy = _answers(policy_of(cell), weights, tf.convert_to_tensor(observations))
    expected = {name: tensor.numpy() for name, tensor in policy.items()}
    served = {name: np.asarray(answers[name]) for name in expected}
    action, q = served["action"], expected["q_values"]
    size = np.abs(q).max(axis=-1, keepdims=True)
    lost = q.max(axis=-1, keepdims=True) - np.take_along_axis(q, action[:, None], axis=-1)
    gaps = np.abs(served["all_parameters"] - expected["all_parameters"]) / (spec.high - spec.low)
    own = spec.take(tf.constant(served["all_parameters"]), tf.constant(action))
    # Each in the positive, so that what is no number is wrong.
    wrong = {
        "other actions": ~(lost <= VALUE_TOLERANCE * size),
        f"parameters that differ by up to {gaps.max():.2g} of their range": ~(
            gaps <= PARAMETER_TOLERANCE
        ),
        "other action values": ~(np.abs(served["q_values"] - q) <= VALUE_TOLERANCE * size),
        "`parameters` that are not the action's own": served["parameters"] != own.numpy(),
        "other numbers of them": served["num_parameters"] != np.asarray(spec.sizes)[action],
    }
    if found := [f"{np.sum(those)} {what}" for what, those in wrong.items() if those.any()]:
        raise ExportError(
            f"{cell.name}: expected the exported model to act as the trained policy on "
            f"{len(action)} observations, received {', '.join(found)}"
        )
    return float(gaps.max())


def play(cell: Cell, weights: Weights, folder: Path, seed: int, num_episodes: int) -> Episodes:
    """Greedy episodes of a saved model, each decision of which is compared with the policy's.

    The random numbers are those of the final evaluation. The episodes need not be the same: where
    an environment is chaotic, the last bit of a parameter decides how an episode ends. A model
    clips its parameters, so the result's `clipped_share` tells nothing.

    Raises:
      ExportError: the model does not act as the policy.
    """
    serve, task = tf.saved_model.load(str(folder)).signatures["serving_default"], cell.task
    constants = tf.nest.map_structure(tf.constant, weights)

    def decide(observations: Any, key: tf.Tensor | None = None) -> Sent:
        del key
        outputs = serve(observation=tf.constant(observations))
        answers = {name: tensor.numpy() for name, tensor in outputs.items()}
        check(cell, constants, observations, answers)
        scaled = task.actions.scale(answers["all_parameters"])
        return Sent(answers["action"], answers["parameters"], scaled)

    if isinstance(task, Gymnasium):
        with ExitStack() as stack:
            copies = [stack.enter_context(closing(task.make())) for _ in range(task.copies)]
            seeds = host.episode_seeds(seed, 0, num_episodes)
            return host.episodes(copies, task.actions, decide, seeds)
    key = seeding.stream(tf.constant(seed), "evaluation", 0)
    episodes = rollout(decide, _compiled(task), key, num_episodes)  # pyright: ignore[reportArgumentType]
    return Episodes(*(np.asarray(field) for field in episodes))


@cache
def _compiled(task: Environment) -> Any:
    """An environment to be stepped from outside: its functions are compiled one by one."""
    functions = {
        name: tf.function(getattr(task, name), jit_compile=True, autograph=False)
        for name in ("initial", "observation", "transition")
    }
    return SimpleNamespace(
        actions=task.actions, max_episode_steps=task.max_episode_steps, **functions
    )

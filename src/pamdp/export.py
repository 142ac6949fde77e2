"""Export of a trained policy as a SavedModel, and the proof that it acts as it did in training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pamdp import host, seeding
from pamdp.agents.policy import Decision, Policy, Weights, send
from pamdp.envs.gymnasium import Gymnasium
from pamdp.evaluation import Episodes, rollout
from pamdp.lazy import tf
from pamdp.loops import policy_of
from pamdp.settings import Cell

PARAMETER_TOLERANCE = 1e-4  # of a parameter's range; the model's sums run in another order


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
    module = tf.Module()
    module.weights = tf.nest.map_structure(tf.Variable, weights)
    shape = tf.TensorSpec([None, policy.features], tf.float32, "observation")

    @tf.function(input_signature=[shape], autograph=False)
    def serve(observation: tf.Tensor) -> dict[str, tf.Tensor]:
        values = tf.nest.map_structure(tf.convert_to_tensor, module.weights)
        return _answers(policy, values, observation)

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


def check(cell: Cell, weights: Weights, observations: np.ndarray, answers: Mapping) -> float:
    """Compares a saved model's answers with the trained policy's.

    Returns:
      The largest difference of a parameter, as a share of its range.

    Raises:
      ExportError: another action, or a difference above the tolerance.
    """
    spec = cell.task.actions
    expected = _answers(policy_of(cell), weights, tf.constant(observations))
    different = int(np.sum(expected["action"].numpy() != answers["action"]))
    gap = np.abs(expected["all_parameters"].numpy() - answers["all_parameters"])
    largest = float((gap / (spec.high - spec.low)).max())
    if different or largest > PARAMETER_TOLERANCE:
        raise ExportError(
            f"{cell.name}: expected the exported model to act as the trained policy on "
            f"{len(observations)} observations, received {different} other actions and parameters "
            f"that differ by up to {largest:.2g} of their range"
        )
    return largest


def play(cell: Cell, folder: Path, seed: int, num_episodes: int) -> Episodes:
    """Greedy episodes of a saved model, with the random numbers of the final evaluation."""
    model = tf.saved_model.load(str(folder))  # owns the variables
    serve, spec = model.signatures["serving_default"], cell.task.actions
    if isinstance(cell.task, Gymnasium):
        return _play_on_host(cell.task, serve, seed, num_episodes)
    task = cell.task

    def decide(observation: tf.Tensor, key: tf.Tensor) -> Decision:
        del key
        answers = serve(observation=observation)
        scaled = 2 * (answers["all_parameters"] - spec.low) / (spec.high - spec.low) - 1
        return Decision(answers["action"], scaled)

    @tf.function(jit_compile=True, autograph=False)
    def episodes() -> Episodes:
        key = seeding.stream(tf.constant(seed), "evaluation", 0)
        return rollout(decide, task, key, num_episodes)

    return Episodes(*(np.asarray(field) for field in episodes()))


def _play_on_host(task: Gymnasium, serve: Any, seed: int, num_episodes: int) -> Episodes:
    spec = task.actions

    def decide(observations: np.ndarray) -> host.Sent:
        tensors = serve(observation=tf.constant(observations, tf.float32))
        answers = {name: tensor.numpy() for name, tensor in tensors.items()}
        scaled = spec.scale(answers["all_parameters"])
        return host.Sent(answers["action"], answers["parameters"], scaled)

    copies = [task.make() for _ in range(task.copies)]
    return host.episodes(copies, spec, decide, host.episode_seeds(seed, 0, num_episodes))


def check_return(cell: Cell, evaluated: float, played: Episodes) -> None:
    """Compares the greedy return of a saved model with the evaluated one, on the same episodes.

    The model's sums run in another order. Where the environment is chaotic the last bit grows, and
    episodes with the same random numbers part: then the means are those of different episodes.

    Raises:
      ExportError: the means differ by more than four standard errors.
    """
    returns = played.returns
    error = float(returns.std() / len(returns) ** 0.5)
    if abs(float(returns.mean()) - evaluated) > max(4 * error, 1e-6):
        raise ExportError(
            f"{cell.name}: expected the exported model to earn the evaluated mean return "
            f"{evaluated:.4f}, received {float(returns.mean()):.4f}"
        )

"""Export of a trained policy as a SavedModel, and the proof that it acts as it did in training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from pamdp.base.calls import on_cpu
from pamdp.base.errors import ExportError
from pamdp.base.lazy import tf
from pamdp.base.task import Task, centred, raw
from pamdp.learning.cell import Cell, policy_of
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Policy, Weights
from pamdp.learning.rollout import Command, Episodes
from pamdp.serving import Answer

NUM_OBSERVATIONS = 1_000  # on which a model is compared with the policy
# The model's sums run in another order.
PARAMETER_TOLERANCE = 1e-4  # of a parameter's range
VALUE_TOLERANCE = 1e-4  # of the largest action value: of actions as good as equal either is right


def save(cell: Cell, weights: Weights, folder: Path) -> None:
    """Writes a policy as a SavedModel with the signature `serving_default`.

    Input: `observation` [N, S], raw, of the type `dtype_of(cell.task)`. Outputs: `action` [N]
    int32, `parameters` [N, m] of that action in environment units, padded with zeros,
    `num_parameters` [N] int32 how many of them count, `all_parameters` [N, P] of all actions, and
    `q_values` [N, K].

    Equal policies give equal bytes in a fresh process; TensorFlow numbers what it traces, so a
    process that saved before gives others.

    Args:
      cell: what was trained.
      weights: of the policy.
      folder: is created or replaced.

    Raises:
      ExportError: it cannot be written.
    """
    policy = policy_of(cell)
    arrays = tf.nest.map_structure(np.asarray, weights)
    shape = tf.TensorSpec([None, policy.features], dtype_of(cell.task), "observation")

    @tf.function(input_signature=[shape], autograph=False)
    def serve(observation: tf.Tensor) -> dict[str, tf.Tensor]:
        # Constants, not variables: all that follows from them alone is computed once, at loading.
        constants = tf.nest.map_structure(tf.constant, arrays)
        return _answers(policy, constants, centred(cell.task, observation))

    module = tf.Module()
    module.serve = serve
    try:
        tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    except tf.errors.OpError as error:  # a full disk, no right to write
        raise ExportError(
            f"{folder}: expected a folder that may be written, with room on the disk, received: "
            f"{error.message}"
        ) from None
    # A random number, which nothing needs to load the model.
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _answers(policy: Policy, weights: Weights, observation: tf.Tensor) -> dict[str, tf.Tensor]:
    spec = policy.choices.actions
    decision = policy.greedy(weights, observation)
    answer = Answer(
        action=decision.action,
        parameters=spec.executed(decision.parameters, decision.action),
        num_parameters=tf.gather(tf.constant(spec.sizes, tf.int32), decision.action),
        all_parameters=spec.unscale(decision.parameters),
        q_values=decision.q,
    )
    return answer._asdict()


def _equals(policy: Policy, weights: Weights, observation: tf.Tensor) -> list[np.ndarray]:
    """What a decision may be: `Choices.sets`, with parameters in environment units."""
    _, x, q = policy.choose(weights, observation)
    values, sets = policy.choices.sets(q, x)
    return [values.numpy(), policy.choices.actions.unscale(sets).numpy()]


def dtype_of(task: Task) -> str:
    """The type of the observations that an exported model takes.

    It is float32, or float64 where float32 would lose what the policy has to tell apart.
    """
    return "float32" if task.observation_offset is None else "float64"


def signature(cell: Cell) -> dict[str, list[tuple[str, str, list[int]]]]:
    """Names, types and shapes of a model's tensors; -1 is the batch."""
    spec = cell.task.actions
    shapes = Answer(
        action=("int32", [-1]),
        all_parameters=("float32", [-1, spec.num_parameters]),
        num_parameters=("int32", [-1]),
        parameters=("float32", [-1, spec.max_size]),
        q_values=("float32", [-1, spec.num_actions]),
    )
    return {
        "inputs": [("observation", dtype_of(cell.task), [-1, len(cell.task.observation_low)])],
        "outputs": [(name, *rest) for name, rest in shapes._asdict().items()],
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
      observations: for each of them [N, S] of the type it takes, raw.
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


def observations(cell: Cell, weights: Weights) -> np.ndarray:
    """[1000, S] raw observations, uniform over their bounds, or over what training met with."""
    low, high = cell.task.observation_low, cell.task.observation_high
    if observed := weights.observed:
        spread = 3 * np.sqrt(observed.squares / observed.count)
        low = np.where(np.isfinite(low), low, observed.mean - spread)
        high = np.where(np.isfinite(high), high, observed.mean + spread)
    draws = np.random.default_rng(0).random((NUM_OBSERVATIONS, len(low)), np.float32)
    return raw(cell.task, (low + draws * (high - low)).astype(np.float32))


@on_cpu()
def check(cell: Cell, weights: Weights, observations: Any, answers: Mapping[str, Any]) -> float:
    """Compares a saved model's answers with the trained policy's.

    Args:
      cell: what was trained.
      weights: of the policy.
      observations: [N, S] of the type that the model takes, raw.
      answers: what the model answered, by name.

    Returns:
      The largest difference of a parameter, as a share of its range.

    Raises:
      ExportError: another action, if the policy values it less, numbers beyond tolerance, or
        outputs that contradict each other.
    """
    spec = cell.task.actions
    known = centred(cell.task, tf.convert_to_tensor(observations))
    q, sets = _equals(policy_of(cell), weights, known)
    served = {name: np.asarray(answers[name]) for name in Answer._fields}
    action = served["action"]
    apart = np.abs(served["all_parameters"][:, None] - sets) / (spec.high - spec.low)
    gaps, q_served = _meant(apart.max(axis=-1, initial=0.0), q[np.arange(len(known)), :, action])
    q = q.max(axis=1)
    size = np.abs(q).max(axis=-1, keepdims=True)
    lost = q.max(axis=-1, keepdims=True) - q_served
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


def _meant(apart: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far an answer is from the set of parameters that it means, and what that is worth.

    Of several sets that are the same within the bounds the policy acts by any; their values differ,
    as they are of what was proposed.

    Args:
      apart: [N, sets], from each.
      q: [N, sets], the value of the answered action with each.

    Returns:
      [N, 1] each.
    """
    gaps = apart.min(axis=-1, keepdims=True)
    same = apart <= np.maximum(gaps, PARAMETER_TOLERANCE)
    return gaps, np.where(same, q, -np.inf).max(axis=-1, keepdims=True)


def play(cell: Cell, weights: Weights, folder: Path, seed: int, num_episodes: int) -> Episodes:
    """Greedy episodes of a saved model, each decision of which is compared with the policy's.

    The random numbers are those of the final evaluation. The episodes need not be the same: where
    an environment is chaotic, the last bit of a parameter decides how an episode ends.

    Raises:
      ExportError: the model does not act as the policy.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    constants = tf.nest.map_structure(tf.constant, weights)

    @on_cpu()
    def decide(observations: Any) -> Command:
        observations = raw(cell.task, observations)
        outputs = serve(observation=tf.constant(observations))
        answers = {name: tensor.numpy() for name, tensor in outputs.items()}
        check(cell, constants, observations, answers)
        scaled = cell.task.actions.scale(answers["all_parameters"])
        return Command(answers["action"], answers["parameters"], scaled)

    with closing(loop_of(cell)) as loop:
        return loop.act(decide, seed, 0, num_episodes)

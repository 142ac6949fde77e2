"""Exported models of algorithms that choose between other things than actions."""

import numpy as np
import pytest

from pamdp import export
from pamdp.base.errors import ExportError
from pamdp.base.lazy import tf
from pamdp.learning.cell import Cell, policy_of
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Weights
from tests.helpers import cell
from tests.unit.test_export import initial, observations, served


def of_two_heads() -> Cell:
    wide = cell("mpdqn", "inverting", learner__parameters__output_std=0.5)
    return wide.replace({"algorithm.heads": 2})


@pytest.mark.parametrize(
    "other",
    [of_two_heads(), cell("paddpg", "squashing", learner__parameters__output_std=0.5)],
    ids=["heads", "scores"],
)
def test_a_model_speaks_of_the_environments_actions(tmp_path, other):
    weights, rows = initial(other), observations(other)
    export.save(other, weights, tmp_path / "x")
    answers = served(tmp_path / "x", rows)
    assert export.check(other, weights, rows, answers) <= 1e-5
    np.testing.assert_array_equal(answers["action"], answers["q_values"].argmax(axis=1))
    assert len(set(answers["action"])) > 1
    found = tf.saved_model.load(str(tmp_path / "x")).signatures["serving_default"]
    shapes = [
        (name, s.dtype.name, [-1, *s.shape[1:]]) for name, s in found.structured_outputs.items()
    ]
    assert sorted(shapes) == export.signature(other)["outputs"]
    played = export.play(other, weights, tmp_path / "x", 4, 5)
    evaluated = loop_of(other).evaluate(weights, 4, 0, 5)
    np.testing.assert_allclose(played.returns, evaluated.returns, rtol=1e-4, atol=1e-5)


def test_of_heads_that_are_worth_the_same_either_is_right():
    """But not a mixture of their parameters."""
    other = of_two_heads()
    x, ((kernel, bias), *layers), observed = initial(other)
    blind = np.concatenate([kernel[:9], np.zeros_like(kernel[9:])])  # Q sees no parameters
    weights, rows = Weights(x, ((blind, bias), *layers), observed), observations(other)
    policy, spec = policy_of(other), other.task.actions
    decided = policy.choose(weights, tf.constant(rows))
    values, sets = policy.choices.sets(decided.q, decided.parameters)
    action = policy.greedy(weights, tf.constant(rows)).action

    def check(parameters: tf.Tensor) -> None:
        answers = {
            "action": action,
            "all_parameters": parameters,
            "num_parameters": np.ones(len(rows), np.int32),
            "parameters": spec.take(parameters, action),
            "q_values": values[:, 0],
        }
        export.check(other, weights, rows, answers)

    one, two = (spec.unscale(sets[:, head]) for head in range(2))
    check(one)
    check(two)
    with pytest.raises(ExportError, match="parameters that differ"):
        check(tf.concat([one[:, :1], two[:, 1:]], axis=1))


def test_of_heads_whose_parameters_are_the_same_within_the_bounds_the_better_is_meant(tmp_path):
    """Q values what is proposed, and what is proposed may lie outside."""
    other = of_two_heads()
    (*hidden, (kernel, bias)), q, observed = initial(other)
    outside = np.repeat([2.0, 3.0], bias.shape[0] // 2).astype(np.float32)
    weights = Weights((*hidden, (np.zeros_like(kernel), outside)), q, observed)
    rows = observations(other)
    values, sets = export._equals(policy_of(other), weights, tf.constant(rows))
    np.testing.assert_array_equal(sets[:, 0], sets[:, 1])
    assert np.abs(values[:, 0] - values[:, 1]).max() > 0.01
    export.save(other, weights, tmp_path / "x")
    answers = served(tmp_path / "x", rows)
    assert export.check(other, weights, rows, answers) == 0.0
    worst = answers | {"action": values.max(axis=1).argmin(axis=1).astype(np.int32)}
    with pytest.raises(ExportError, match="other actions"):
        export.check(other, weights, rows, worst)

"""What every algorithm's choices have to keep to, with one head and with several."""

from typing import Any

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base.algorithm import Algorithm
from pamdp.base.lazy import tf
from pamdp.base.spaces import ActionSpec
from tests.conformance.test_algorithms import SPECS
from tests.helpers import FEATURES, algorithm_of, experienced, learner

ROWS = 40
MADE: dict[str, Algorithm] = {kind: algorithm_of(kind) for kind in ALGORITHMS}
MADE |= {
    f"{kind} with heads": algorithm_of(kind, heads=3)
    for kind, algorithm in ALGORITHMS.items()
    if "heads" in algorithm.model_fields
}


@pytest.fixture(params=[(n, s) for n in MADE for s in SPECS], ids="-".join)
def case(request: Any) -> tuple[Algorithm, ActionSpec]:
    name, spec = request.param
    return MADE[name], SPECS[spec]


def test_both_networks_are_of_the_choices(case) -> None:
    algorithm, spec = case
    policy = learner(algorithm, spec=spec).policy
    learned = algorithm.choices(spec).spec
    assert policy.choices.actions is spec
    assert policy.spec == policy.q_function.spec == policy.parameter_network.spec == learned


def test_a_greedy_decision_is_in_the_environments_actions_and_the_best_of_its_sets(case) -> None:
    algorithm, spec = case
    policy = (agent := learner(algorithm, spec=spec)).policy
    weights = experienced(agent).online
    observations = tf.random.stateless_uniform([ROWS, FEATURES], [1, 2])
    action, parameters, q = map(np.asarray, policy.greedy(weights, observations))
    _, x, learned = policy.choose(weights, observations)
    values, sets = map(np.asarray, policy.choices.sets(learned, x))
    assert values.shape == (ROWS, values.shape[1], spec.num_actions)
    assert sets.shape == (ROWS, values.shape[1], spec.num_parameters)
    np.testing.assert_array_equal(q, values.max(axis=1))
    np.testing.assert_array_equal(action, q.argmax(axis=1))
    best = values[np.arange(ROWS), :, action].argmax(axis=1)
    np.testing.assert_array_equal(parameters, sets[np.arange(ROWS), best])
    assert policy.choices.executed(*policy.choose(weights, observations)[:2])[0].dtype == tf.int32


def test_what_starts_at_parameters_executes_them_whatever_is_chosen(case) -> None:
    algorithm, spec = case
    choices = algorithm.choices(spec)
    number = choices.spec.num_actions
    given = tf.random.stateless_normal([number, spec.num_parameters], [1, 2])
    x = choices.starting_at(given)
    assert x.shape == (number, choices.spec.num_parameters)
    action, parameters = choices.executed(tf.range(number), x)
    np.testing.assert_array_equal(parameters, given)
    assert set(np.asarray(action)) <= set(range(spec.num_actions))


def test_nothing_is_random_where_nothing_is_to_be(case) -> None:
    algorithm, spec = case
    choices = algorithm.choices(spec)
    x = tf.random.stateless_normal([choices.spec.num_parameters], [1, 2])
    same = choices.randomised(x, tf.constant(False), tf.constant([1, 2]))
    np.testing.assert_array_equal(same, x)

"""Exported models act as the trained policies did, without this package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pamdp import export
from pamdp.algorithms import ALGORITHMS
from pamdp.base.errors import ExportError
from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec
from pamdp.learning.cell import policy_of
from pamdp.learning.loops import loop_of
from pamdp.learning.policy import Weights
from pamdp.learning.scaling import Observed
from pamdp.serving import Model
from pamdp.watching import load_player, player_of
from tests.helpers import FEATURES, UNBOUNDED, cell, experienced, learner

EPISODES = 30
HOSTED = {"kind": "gymnasium", "id": "pamdp/Platform-v0"}


def initial(trained, seed: int = 1) -> Weights:
    """Weights of a cell before its first update, as arrays."""
    loop = loop_of(trained)
    return tf.nest.map_structure(np.asarray, loop.weights(loop.initial(seed)))


def observations(trained, number: int = 200) -> np.ndarray:
    low, high = trained.task.observation_low, trained.task.observation_high
    draws = np.random.default_rng(3).random((number, len(low)), np.float32)
    return low + draws * (high - low)


@pytest.fixture(scope="module")
def trained():
    return cell("mpdqn", "inverting")


@pytest.fixture(scope="module")
def weights(trained):
    return initial(trained)


@pytest.fixture(scope="module")
def folder(trained, weights, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "x"
    export.save(trained, weights, path)
    return path


@pytest.fixture(scope="module")
def rows(trained) -> np.ndarray:
    return observations(trained)


@pytest.fixture(scope="module")
def answers(folder, rows, tmp_path_factory) -> list[dict[str, np.ndarray]]:
    scratch = tmp_path_factory.mktemp("scratch")
    return export.answers_of([folder, folder], [rows, rows[:3]], scratch)


def served(path: Path, rows: np.ndarray) -> dict[str, np.ndarray]:
    model = tf.saved_model.load(str(path))
    answers = model.signatures["serving_default"](observation=tf.constant(rows))
    return {name: tensor.numpy() for name, tensor in answers.items()}


def test_no_random_file_is_left(folder):
    assert (folder / "saved_model.pb").is_file()
    assert not (folder / "fingerprint.pb").exists()


def test_a_model_called_with_arrays_answers_as_tensorflow_does(folder, rows):
    model = Model(folder)
    assert (model.features, model.num_actions, model.num_parameters) == (9, 3, 3)
    for number in (1, 3, len(rows), 2, 1):
        found, expected = model(rows[:number]), served(folder, rows[:number])
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ([None] * 9, "real numbers, received object"),
        (["nan"] * 9, "real numbers, received <U3"),
        ([1j] * 9, "real numbers, received complex128"),
        ([np.nan] * 9, "finite observations of float32"),
        ([0.0] * 8 + [1e300], "finite observations of float32"),
    ],
)
def test_a_model_refuses_what_is_no_number(folder, odd, text):
    with pytest.raises(ValueError, match=f"expected .*{text}"):
        Model(folder)([odd])


@pytest.mark.parametrize(("shape", "text"), [([9], r"\[9\]"), ([2, 8], r"\[2, 8\]")])
def test_a_model_refuses_other_observations(folder, shape, text):
    message = rf"expected observations of shape \[N, 9\], received {text}"
    with pytest.raises(ValueError, match=message):
        Model(folder)(np.zeros(shape))


def test_the_signature_is_that_of_the_model(trained, folder):
    found = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def listed(specs: dict) -> list[tuple[str, str, list[int]]]:
        return sorted((name, s.dtype.name, [-1, *s.shape[1:]]) for name, s in specs.items())

    expected = export.signature(trained)
    assert listed(found.structured_input_signature[1]) == expected["inputs"]
    assert listed(found.structured_outputs) == expected["outputs"]
    specs = [*found.structured_input_signature[1].values(), *found.structured_outputs.values()]
    assert all(spec.shape[0] is None for spec in specs)


def test_each_model_answers_its_own_observations_in_a_fresh_process(answers, rows):
    full, short = answers
    assert full["action"].shape == (len(rows),)
    for name, values in short.items():
        np.testing.assert_allclose(values, full[name][:3], rtol=1e-5, atol=1e-6)


def test_the_answers_are_those_of_the_policy(trained, weights, rows, answers):
    assert len(set(answers[0]["action"])) > 1  # there is something to agree on
    assert export.check(trained, weights, rows, answers[0]) <= 1e-6


def test_another_action_is_noticed(trained, weights, rows, answers):
    wrong = answers[0] | {"action": answers[0]["action"].copy()}
    wrong["action"][[4, 7]] = (wrong["action"][[4, 7]] + 1) % 3
    message = f"{trained.name}: .* on 200 observations, received 2 other actions"
    with pytest.raises(ExportError, match=message):
        export.check(trained, weights, rows, wrong)


def test_another_parameter_is_noticed_by_its_share_of_the_range(trained, weights, rows, answers):
    close = answers[0] | {"all_parameters": answers[0]["all_parameters"].copy()}
    row = np.flatnonzero(close["action"] != 1)[0]
    close["all_parameters"][row, 1] += 720 * 0.5e-4
    assert export.check(trained, weights, rows, close) == pytest.approx(0.5e-4, rel=0.05)
    close["all_parameters"][row, 1] += 720 * 1.5e-3
    message = r"received 1 parameters that differ by up to 0\.0015 of their range$"
    with pytest.raises(ExportError, match=message):
        export.check(trained, weights, rows, close)


def test_other_weights_are_noticed(trained, rows, answers):
    with pytest.raises(ExportError, match="other actions"):
        export.check(trained, initial(trained, seed=2), rows, answers[0])


def test_a_model_that_cannot_be_loaded_is_an_error_that_says_why(tmp_path):
    (tmp_path / "broken").mkdir()
    with pytest.raises(ExportError, match=r"cannot be loaded:\n(.*\n)*.*SavedModel"):
        export.answers_of([tmp_path / "broken"], [np.zeros([1, 9], np.float32)], tmp_path)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("squashing", {}),
        ("plain", {"initial_parameters": {"bias": [3.0, 10.0, 400.0]}}),
        ("selective_squashing", {"initial_parameters": {"bias": [3.0, 10.0, 400.0]}}),
    ],
)
def test_bounds_and_hand_set_parameters_are_part_of_the_model(
    tmp_path, strategy, changes, algorithm
):
    other = cell(algorithm, strategy, **changes)
    weights = initial(other)
    export.save(other, weights, tmp_path / "x")
    rows = observations(other)
    assert export.check(other, weights, rows, served(tmp_path / "x", rows)) <= 1e-6


def test_short_actions_are_padded_and_parameters_clipped(monkeypatch, tmp_path, trained):
    # The helpers' action space: 2, 0, 3 and 1 parameters.
    other = learner("pdqn")
    state, policy = experienced(other), other.policy
    monkeypatch.setattr(export, "policy_of", lambda cell: policy)
    online = Weights(state.x_network.online, state.q_network.online, ())
    weights = tf.nest.map_structure(np.asarray, online)
    export.save(trained, weights, tmp_path / "x")
    rows = np.random.default_rng(5).random((300, FEATURES), np.float32)
    answers = served(tmp_path / "x", rows)

    decision = policy.greedy(weights, tf.constant(rows))
    actions = decision.action.numpy()
    assert set(actions) == {0, 1, 2, 3}
    spec = policy.spec
    scaled = decision.parameters.numpy()
    assert (np.abs(scaled) > 1).any()
    real = spec.low + (np.clip(scaled, -1, 1) + 1) / 2 * (spec.high - spec.low)
    np.testing.assert_array_equal(answers["action"], actions)
    np.testing.assert_array_equal(answers["num_parameters"], np.array([2, 0, 3, 1])[actions])
    np.testing.assert_allclose(answers["all_parameters"], real, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(answers["q_values"], decision.q.numpy(), rtol=1e-5, atol=1e-6)
    starts = np.array([0, 2, 2, 5])
    for action, row, all_of_row in zip(actions, answers["parameters"], real, strict=True):
        size = (2, 0, 3, 1)[action]
        own = all_of_row[starts[action] : starts[action] + size]
        np.testing.assert_allclose(row, [*own, *[0] * (3 - size)], rtol=1e-5, atol=1e-5)


def test_saturated_parameters_of_a_model_are_in_the_space(monkeypatch, tmp_path, trained):
    # Rounding would make 0.1 the float32 after it, which a strict environment refuses.
    spec = ActionSpec((Action("go", (-0.2,), (0.1,)), Action("turn", (-9.9, -4.9), (9.6, 0.6))))
    state = experienced(other := learner(spec=spec))
    monkeypatch.setattr(export, "policy_of", lambda cell: other.policy)
    far = tf.nest.map_structure(lambda leaf: 1000 * np.asarray(leaf), state.x_network.online)
    export.save(trained, Weights(far, state.q_network.online, ()), tmp_path / "x")
    rows = np.random.default_rng(5).random((128, FEATURES), np.float32)
    for answers in (served(tmp_path / "x", rows), Model(tmp_path / "x")(rows)):
        everything, chosen = answers["all_parameters"], answers["action"]
        assert all((everything == end).any() for end in (spec.low, spec.high))
        assert ((spec.low <= everything) & (everything <= spec.high)).all()
        for action, own in zip(chosen, answers["parameters"], strict=True):
            assert spec.element(int(action), own) in spec.space()


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_what_training_met_with_is_part_of_the_model(monkeypatch, tmp_path, trained, algorithm):
    """Features without bounds are scaled by their moments there as they were in training."""
    other = learner(algorithm, bounds=UNBOUNDED)
    state, policy = experienced(other), other.policy
    monkeypatch.setattr(export, "policy_of", lambda cell: policy)
    random = np.random.default_rng(5)
    rows = random.normal([0.5, 40.0, -3.0], [0.2, 7.0, 1.0], (300, FEATURES)).astype(np.float32)
    moments = [300.0, rows.mean(axis=0), 300 * rows.var(axis=0)]
    observed = Observed(*(tf.constant(value, tf.float32) for value in moments))
    weights = Weights(state.x_network.online, state.q_network.online, observed)
    export.save(trained, tf.nest.map_structure(np.asarray, weights), tmp_path / "x")
    answers = served(tmp_path / "x", rows)

    scaled = np.where([True, False, False], 2 * rows - 1, (rows - moments[1]) / rows.std(axis=0))
    x = policy.parameters(weights, tf.constant(scaled, tf.float32))
    q = policy.q_function.values(weights.q, tf.constant(scaled, tf.float32), x)
    expected = policy.choices.values(q, x)
    np.testing.assert_allclose(answers["q_values"], expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(answers["action"], policy.greedy(weights, rows).action)
    assert len(set(answers["action"])) > 1
    away = weights._replace(observed=observed._replace(mean=observed.mean + 5.0))
    assert np.mean(policy.greedy(away, rows).action != answers["action"]) > 0.1


def test_a_model_plays_the_evaluated_episodes(trained, weights, folder):
    evaluated = loop_of(trained).evaluate(weights, 4, 0, EPISODES)
    played = export.play(trained, weights, folder, 4, EPISODES)
    np.testing.assert_allclose(played.returns, evaluated.returns, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(played.lengths, evaluated.lengths)
    assert len(set(played.returns.tolist())) > 1


def test_a_model_plays_the_evaluated_episodes_of_any_gymnasium_environment(tmp_path):
    hosted = cell("mpdqn", "inverting", task=HOSTED)
    weights = initial(hosted)
    export.save(hosted, weights, tmp_path / "x")
    evaluated = loop_of(hosted).evaluate(weights, 4, 0, 5)
    played = export.play(hosted, weights, tmp_path / "x", 4, 5)
    np.testing.assert_allclose(played.returns, evaluated.returns, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", [{"kind": "platform"}, HOSTED])
def test_another_decision_while_playing_is_noticed(weights, folder, task):
    """The model is not that of these weights, which shows in the first states of its episodes."""
    other = cell("mpdqn", "inverting", task=task)
    with pytest.raises(ExportError, match="expected the exported model to act as the trained"):
        export.play(other, initial(other, seed=2), folder, 4, 5)


@pytest.mark.parametrize("name", ["all_parameters", "parameters", "q_values", "num_parameters"])
def test_every_output_is_compared(trained, weights, rows, answers, name):
    export.check(trained, weights, rows, answers[0])
    for wrong in (answers[0][name] + 1, answers[0][name] * np.nan):
        with pytest.raises(ExportError, match="expected the exported model to act as"):
            export.check(trained, weights, rows, answers[0] | {name: wrong})


def test_a_policy_that_is_no_number_is_refused(trained, weights, rows, answers):
    broken = tf.nest.map_structure(lambda leaf: leaf * np.nan, weights)
    with pytest.raises(ExportError, match="200 other actions"):
        export.check(trained, broken, rows, answers[0])


def test_of_actions_as_good_as_equal_either_is_right(trained, weights, rows, answers):
    """Where the policy itself hardly tells two actions apart, a sum in another order decides."""
    x, (*hidden, (kernel, _)), observed = weights
    spec, first = trained.task.actions, np.zeros(len(rows), np.int32)

    def check(gap: float) -> None:
        equal = np.array([1.0, 1.0 + gap, 0.5], np.float32)
        own = spec.take(tf.constant(answers[0]["all_parameters"]), tf.constant(first)).numpy()
        q = np.tile(equal, (len(rows), 1))
        served = answers[0] | {"action": first, "parameters": own, "q_values": q}
        weights = Weights(x, (*hidden, (np.zeros_like(kernel), equal)), observed)
        export.check(trained, weights, rows, served)

    check(0.5e-4)
    with pytest.raises(ExportError, match=r"received 200 other actions$"):
        check(2e-4)


# -- What float32 cannot hold ----------------------------------------------------------------------

WIDE = {
    "kind": "gymnasium",
    "id": "tests.user_environment:Wide-v0",
    "parameters": {3: ["push"], 4: []},
    "seen": {"low": [0, 0, 1.7e9 - 1], "high": [2, 5, 1.7e9 + 1]},
}


def test_a_model_takes_raw_observations_in_the_precision_they_need(tmp_path):
    """Float32 has every 128th second of those; the policy tells halves of one apart."""
    wide = cell("mpdqn", "inverting", task=WIDE, learner__parameters__output_std=0.5)
    loop = loop_of(wide)
    weights = loop.weights(loop.run(loop.initial(1), 40))
    loop.close()
    weights = tf.nest.map_structure(np.asarray, weights)
    export.save(wide, weights, tmp_path / "x")
    assert export.signature(wide)["inputs"] == [("observation", "float64", [-1, 3])]
    rows = np.array([[1, 3, 1.7e9 - 0.5], [1, 3, 1.7e9 + 0.5]])
    answers = served(tmp_path / "x", rows)
    assert np.abs(np.diff(answers["q_values"], axis=0)).min() > 1e-3
    known = rows.copy()
    known[:, 2] -= 1.7e9
    decided = policy_of(wide).greedy(weights, tf.constant(known, tf.float32))
    np.testing.assert_allclose(answers["q_values"], decided.q, rtol=1e-5, atol=1e-6)
    assert export.check(wide, weights, rows, answers) <= 1e-6
    (apart,) = export.answers_of([tmp_path / "x"], [rows], tmp_path)
    np.testing.assert_allclose(apart["q_values"], answers["q_values"], rtol=1e-5, atol=1e-6)
    called = Model(tmp_path / "x")(rows)
    np.testing.assert_allclose(called["q_values"], answers["q_values"], rtol=1e-5, atol=1e-6)
    # Where it plays, it is asked with the environment's own numbers, and every decision compared.
    assert export.play(wide, weights, tmp_path / "x", 4, 3).lengths.tolist() == [8, 8, 8]
    policy, model = player_of(wide, weights), load_player(tmp_path / "x")
    for row in rows:
        (action, parameters), (other, others) = policy.act(row), model.act(row)
        assert action == other
        np.testing.assert_allclose(parameters, others, rtol=1e-4, atol=1e-5)

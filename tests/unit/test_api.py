"""The functions of `pamdp` itself: what they give, and that it is what a study gives."""

from __future__ import annotations

import csv
import doctest
import json
import re
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from types import ModuleType

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import FlattenObservation

import pamdp
from pamdp import api, checkpoint, export, recipe
from pamdp.base.errors import EnvironmentFailure, ExportError, PamdpError, SettingsError
from pamdp.base.lazy import tf
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.extras import MODULES
from pamdp.learning.compiled import CompiledLoop
from pamdp.learning.training import Point
from pamdp.stages import evaluate, setup
from pamdp.tuning.study import CellStudy
from pamdp.tuning.trials import Trial
from tests import user_environment
from tests.helpers import ROOT, SMALL, bytes_of, changed, params
from tests.unit.two_cells import INVERTING, found, set_up, train_cell

LEARNER = {f"learner.{path}": value for path, value in SMALL.items()}
LENGTH = {"steps": 300, "report_every": 100, "evaluation_episodes": 10}
FEW = LEARNER | {"training": LENGTH}
BLOCK = {f"environments.platform.{path}": value for path, value in FEW.items()}
REACH = {"kind": "gymnasium", "id": "tests.user_environment:Reach", "max_episode_steps": 5}
SPARSE = {"kind": "sparse", "task": {"kind": "hard_move", "actuators": 6}}
VALUES = {"learner.gamma": 0.8, "learner.q.learning_rate": 2e-3}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAMDP_TRACKING", "off")


@pytest.fixture(scope="module")
def result() -> api.Result:
    return pamdp.train(pamdp.cell(changes=FEW), seed=3)


# -- Examples --------------------------------------------------------------------------------------


def test_the_examples_work(monkeypatch) -> None:
    """Those of all public names, and of the page: together, as they share compiled programs."""
    told: list[str] = []
    for name in {*pamdp.__all__} - {"__version__"}:
        tests = doctest.DocTestFinder(recurse=False).find(getattr(pamdp, name), name, globs={})
        (test,) = [test for test in tests if test.examples]
        test.globs = {"pamdp": pamdp}
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
        runner.run(test, out=told.append)
    assert told == []
    page = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(blocks) == 8
    module = ModuleType("a_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where its class is looked for
    names = vars(module)
    for block in blocks:
        exec(block, names)
    assert names["result"].points == names["results"][0].points
    assert 0 < names["total"] <= 1
    assert names["slid"].cell.name.environment == "slide"
    assert [trial.number for trial in names["found"].trials] == [0, 1]


# -- The same as a study ---------------------------------------------------------------------------


def test_a_seed_is_that_of_a_study_bit_for_bit(tmp_path) -> None:
    checkout = set_up(tmp_path, **BLOCK, **{"evaluation.episodes": 40, "tuning.trials": 0})
    found(tmp_path, INVERTING, VALUES)
    train_cell(checkout, INVERTING)
    subject = checkout.settings.cell(INVERTING)
    (episodes,) = evaluate.played(checkout, [subject])
    settings = {"evaluation.episodes": 40, **BLOCK}
    Path("params.yaml").write_text(json.dumps(changed(params(), settings)))

    cell = pamdp.cell("platform", "mpdqn", "inverting", VALUES, params="params.yaml")
    ours = pamdp.train(cell, seed=2)
    path = checkout.train(INVERTING) / "weights.npz"
    assert bytes_of(ours.weights) == [*map(np.ndarray.tobytes, checkpoint.read_weights(path)[2])]
    with open(checkout.train(INVERTING) / "curves.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["seed"] == "2"]
    steps, returns = ours.curve("eval/return")
    assert [int(row["step"]) for row in rows] == steps.tolist() == [100, 200, 300]
    assert [float(row["eval/return"]) for row in rows] == returns.tolist()
    assert bytes_of(pamdp.evaluate(ours)) == bytes_of(episodes[2])
    assert pamdp.evaluate(ours).returns.shape == (40,)


def test_an_environment_is_measured_as_setup_measures_it() -> None:
    cell = pamdp.cell("tests.user_environment:Reach-v0")
    task = Gymnasium(kind="gymnasium", id="tests.user_environment:Reach-v0")
    assert cell.task == task.with_facts(setup.describe(task, lambda line: None))
    assert str(cell.name) == "reach-mpdqn-inverting"
    assert cell.cell.initial_parameters is None


# -- A cell ----------------------------------------------------------------------------------------


def test_its_settings_are_those_that_are_shipped() -> None:
    cell, values = pamdp.cell("goal", "pdqn", "reversal"), params()["environments"]["goal"]
    assert cell.learner.gamma == values["learner"]["gamma"]
    assert cell.training.steps == values["training"]["steps"]
    assert str(cell.name) == "goal-pdqn-reversal"


def test_any_setting_is_changed_by_its_path() -> None:
    cell = pamdp.cell("platform", "mpdqn", "reversal_inverting").replace(
        {
            "task.noise": 0.5,
            "learner.q.hidden": [7, 8],
            "learner.n_step": {"steps": 5, "beta": 0.5},
            "strategy.members.0.factor": 0.25,
            "training.steps": 700,
            "evaluation.episodes": 9,
        }
    )
    assert cell.task.noise == 0.5
    assert cell.learner.q.hidden == (7, 8)
    assert cell.learner.n_step.steps == 5
    assert cell.cell.strategy.members[0].factor == 0.25
    assert cell.training.steps == 700
    assert cell.settings.evaluation.episodes == 9


def test_what_a_file_says_of_the_search_of_one_cell_holds_for_it() -> None:
    told = {"platform-pdqn-plain": {"trials": 20, "use_trial": 3}, INVERTING: {"seeds": [77]}}
    values = changed(params(), {"tuning.cells": told})
    Path("params.yaml").write_text(json.dumps(values))
    assert pamdp.cell("platform", params="params.yaml").settings.tuning.seeds == (77,)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"environment": "platfrm"}, r"environment: expected one of .* did you mean 'platform'"),
        ({"algorithm": "mpdq"}, r"algorithm: expected one of .* did you mean 'mpdqn'"),
        ({"changes": {"lerner.gamma": 0.9}}, r"lerner.gamma: .*did you mean 'learner.gamma'"),
        ({"changes": {"learner.gama": 0.9}}, r"learner.gama: unknown key; .*did you mean 'gamma'"),
        ({"changes": {"learner.gamma": 2.0}}, r"learner.gamma: expected .*less than or equal to 1"),
        ({"changes": {"training.steps": 10}}, r"training.steps: expected runs of more than 500"),
        ({"environment": user_environment.Reach()}, r"expected what `gymnasium.make` gave"),
        ({"environment": 5}, r"environment: expected a name, an id in Gymnasium, .* received 5"),
        ({"environment": "pamdp/Platfrm-v0"}, r"did you mean 'pamdp/Platform-v0'"),
        (
            {"environment": SPARSE},
            r"that of one of platform, .*SparseHardMove6",
        ),
        ({"algorithm": 5}, r"algorithm: expected one of .*, received 5"),
        ({"changes": ["a"]}, r"changes: expected values by their paths, .* received \['a'\]"),
        ({"changes": {5: 1}}, r"changes: expected values by their paths, .* received \{5: 1\}"),
        ({"changes": {"extends": "goal"}}, r"extends: expected the path of a setting"),
    ],
)
def test_what_is_wrong_is_said(given, words) -> None:
    with pytest.raises(SettingsError, match=words):
        pamdp.cell(**given)


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(EnvironmentFailure, match="environment 'Nope-v0' failed in make"):
        pamdp.cell("Nope-v0")


def test_what_gymnasium_made_is_an_environment(monkeypatch) -> None:
    made = gymnasium.make("tests.user_environment:Reach-v0", width=0.5, max_episode_steps=4)
    cell = pamdp.cell(made)
    assert json.loads(cell.task.arguments) == {"width": 0.5}
    assert cell.task.time_limit == 4
    with pytest.raises(SettingsError, match=r"^what `cell.replace` was given is wrong"):
        cell.replace({"learner.gamma": 2.0})
    shorter = cell.replace({"task.arguments": {"width": 0.25}, "learner.gamma": 0.5})
    monkeypatch.setattr(recipe, "measure", None)
    assert cell.replace({"learner.gamma": 0.5}).task == cell.task  # not measured again
    assert shorter.task.make().unwrapped.width == 0.25
    assert shorter.task.time_limit == 4


def test_its_wrappers_are_taken_over() -> None:
    made = gymnasium.wrappers.FlattenObservation(gymnasium.make("tests.user_environment:Dice-v0"))
    (wrapper,) = json.loads(pamdp.cell(made).task.wrappers)
    assert wrapper["name"].endswith(":FlattenObservation")
    assert pamdp.cell(made).task.time_limit == 8


def test_its_time_limits_stay_in_their_places() -> None:
    def skipping(**settings) -> gymnasium.Env:
        made = gymnasium.make("tests.user_environment:Reach-v0", **settings)
        return gymnasium.wrappers.TransformReward(made, abs)

    with pytest.raises(SettingsError, match=r"expected names with numbers"):
        pamdp.cell(skipping())  # a function is no setting
    made = gymnasium.make("tests.user_environment:Reach-v0", max_episode_steps=6)
    made = gymnasium.wrappers.TimeLimit(gymnasium.wrappers.FlattenObservation(made), 5)
    task = pamdp.cell(made).task
    assert (task.max_episode_steps, task.time_limit) == (6, 5)
    assert [each["name"].split(":")[-1] for each in json.loads(task.wrappers)] == [
        "FlattenObservation",
        "TimeLimit",
    ]
    ours = pamdp.cell(gymnasium.make("pamdp/Platform-v0", max_episode_steps=7)).task
    assert (type(ours), ours.time_limit) == (Gymnasium, 7)


def test_a_time_limit_that_was_taken_away_is_refused() -> None:
    made = gymnasium.make("tests.user_environment:Reach-v0", max_episode_steps=-1)
    made = gymnasium.wrappers.TimeLimit(gymnasium.wrappers.FlattenObservation(made), 5)
    with pytest.raises(SettingsError, match=r"a registered time limit .* cannot be none"):
        pamdp.cell(made)


def test_wrappers_of_the_registration_are_not_put_on_again(monkeypatch) -> None:
    wrapper = gymnasium.wrappers.TimeAwareObservation.wrapper_spec(
        flatten=True, normalize_time=False, dict_time_key="time"
    )
    layered = {
        "Inside-v0": {"entry_point": lambda: FlattenObservation(user_environment.Reach())},
        "Around-v0": {"entry_point": user_environment.Reach, "additional_wrappers": (wrapper,)},
    }
    for name, settings in layered.items():
        spec = EnvSpec(name, max_episode_steps=4, **settings)
        monkeypatch.setitem(gymnasium.registry, name, spec)
        made = gymnasium.make(name)
        task = pamdp.cell(made).task
        assert task.wrappers == "[]"
        assert task.observation_low.shape == made.observation_space.shape


def test_a_class_is_an_environment() -> None:
    cell = pamdp.cell(user_environment.Reach, changes={"task.max_episode_steps": 5})
    assert (cell.task.id, cell.task.time_limit) == ("tests.user_environment:Reach", 5)
    assert str(cell.name) == "reach-mpdqn-inverting"

    class Hidden(user_environment.Reach):
        pass

    with pytest.raises(SettingsError, match=r"expected a class at the top of a module.*put it"):
        pamdp.cell(Hidden)


def test_its_own_range_of_observations_is_kept() -> None:
    seen = {"low": [-1, 0], "high": [1, 500]}
    cell = pamdp.cell(user_environment.Reach, changes={"task": {**REACH, "seen": seen}})
    for other in (cell, cell.replace({"task.max_episode_steps": 4})):
        assert json.loads(other.task.seen) == seen
    measured = cell.replace({"task": REACH})
    assert json.loads(measured.task.seen) != seen
    assert json.loads(measured.replace({"task.seen": seen}).task.seen) == seen


def test_the_author_is_warned_of_what_results_depend_on(caplog) -> None:
    caplog.set_level("INFO", "pamdp")
    with pytest.warns(UserWarning, match="^reach: not reproducible, as seeded is false") as caught:
        cell = pamdp.cell({**REACH, "seeded": False})
    ours = [each for each in caught if str(each.message).startswith("reach: ")]
    assert {warning.filename for warning in ours} == {__file__}
    assert not [warning for warning in ours if "drives" in str(warning.message)]
    assert "reach: action 0 (action_0) drives" in caplog.text
    shown = repr(api.Result(cell, 1, [], None))
    assert shown == "Result(reach-mpdqn-inverting, seed 1, 0 points, not reproducible)"


def test_numbers_of_numpy_are_numbers() -> None:
    changes = {"learner.batch_size": np.int64(64), "learner.q.hidden": np.array([7, 8])}
    cell = pamdp.cell(changes={**changes, "learner.gamma": np.float64(0.5)})
    assert (cell.learner.batch_size, cell.learner.q.hidden) == (64, (7, 8))
    assert cell.learner.gamma == 0.5


def test_one_of_ours_is_learned_as_the_block_of_its_task_says() -> None:
    cell, block = pamdp.cell("pamdp/HardMove4-v0"), params()["environments"]["catch_point"]
    assert cell.learner == pamdp.cell("hard_move_4").learner
    assert cell.name.environment == "hard_move_4"
    assert cell.learner.gamma == block["learner"]["gamma"] != pamdp.cell().learner.gamma
    kept = {"platform": params()["environments"]["platform"]}
    Path("params.yaml").write_text(json.dumps(params() | {"environments": kept}))
    with pytest.raises(SettingsError, match=r"that of one of platform, received pamdp/HardMove4"):
        pamdp.cell("pamdp/HardMove4-v0", params="params.yaml")


def test_one_of_ours_is_trained_in_its_compiled_form() -> None:
    made = gymnasium.make("pamdp/Platform-v0", noise=0.5, render_mode="rgb_array")
    assert pamdp.cell(made).task == pamdp.cell("platform", changes={"task.noise": 0.5}).task
    assert pamdp.cell("pamdp/Goal-v1").task == pamdp.cell("goal_v1").task


# -- Training and what follows ---------------------------------------------------------------------


def test_a_policy_is_saved_and_loaded(result) -> None:
    pamdp.save(result, "policy")
    policy, cell = pamdp.load("policy"), result.cell
    assert policy.features == len(cell.task.observation_low)
    rows = export.observations(cell.cell, result.weights)
    assert export.check(cell.cell, result.weights, rows, policy(rows)) < 1e-4
    other = pamdp.train(cell, seed=4)
    pamdp.save(other, "policy")  # in the place of the first
    answers = pamdp.load("policy")(rows)
    with pytest.raises(ExportError, match="other action values"):
        export.check(cell.cell, result.weights, rows, answers)
    with pytest.raises(PamdpError, match="nowhere"):
        pamdp.load("nowhere")


def test_a_saved_policy_that_acts_otherwise_is_an_error(result, monkeypatch) -> None:
    wrong = pamdp.train(result.cell, seed=4).weights
    save = export.save
    monkeypatch.setattr(export, "save", lambda cell, _, folder: save(cell, wrong, folder))
    with pytest.raises(ExportError, match="expected the exported model to act as the trained"):
        pamdp.save(result, "policy")


def test_points_are_told_as_they_come_and_an_error_ends_the_training(result, monkeypatch) -> None:
    closed: list[CompiledLoop] = []
    monkeypatch.setattr(CompiledLoop, "close", lambda loop: closed.append(loop))
    told: list[Point] = []

    def stop(seed: int, point: Point) -> None:
        told.append(point)
        if len(told) == 2:
            raise StopIteration("enough")  # which a loop over a generator would swallow

    with pytest.raises(StopIteration, match="enough"):
        pamdp.train(result.cell, seed=3, on_point=stop)
    assert told == result.points[:2]
    assert len(closed) == 1


def test_a_metric_that_was_not_measured_at_first_has_a_shorter_curve(result) -> None:
    points = [Point(1, {"a": 1.0}), Point(2, {"a": 2.0, "b": 3.0})]
    given = api.Result(result.cell, 1, points, result.weights)
    assert [values.tolist() for values in given.curve("b")] == [[2], [3.0]]

    with pytest.raises(PamdpError, match=r"metric: expected one of a, b, received 'c'"):
        given.curve("c")
    with pytest.raises(PamdpError, match=r"did you mean 'eval/return'"):
        result.curve("eval/returns")


@pytest.mark.parametrize("number", [-1, 2**31, 1.5, "x", True])
def test_what_is_no_number_in_its_range_is_refused(result, number) -> None:
    told = f"expected a whole number from . to .*, received {number!r}"
    with pytest.raises(PamdpError, match=f"seed: {told}"):
        pamdp.train(result.cell, seed=number)
    with pytest.raises(PamdpError, match=f"episodes: {told}"):
        pamdp.evaluate(result, episodes=number)
    with pytest.raises(PamdpError, match=f"trials: {told}"):
        pamdp.tune(result.cell, trials=number)


def test_an_integer_of_numpy_is_a_number_of_episodes(result) -> None:
    assert pamdp.evaluate(result, episodes=np.int64(3)).returns.shape == (3,)


def test_a_search_names_itself_in_its_errors(result) -> None:
    space = [{"path": "learner.gama", "low": 0.1, "high": 0.2}]
    with pytest.raises(SettingsError, match=r"^what `pamdp.tune` was given is wrong"):
        pamdp.tune(result.cell, trials=1, space=space)


def test_the_trial_that_is_asked_for_is_used(result, monkeypatch) -> None:
    trials = [
        Trial(number, {"learner.gamma": 0.5 + number / 10}, 1.0 - number) for number in (0, 1)
    ]
    monkeypatch.setattr(CellStudy, "missing", 1)
    monkeypatch.setattr(CellStudy, "run", lambda *_: iter(trials))
    assert pamdp.tune(result.cell, trials=2).cell.learner.gamma == 0.5
    own = {"trials": 2, "use_trial": 1}
    asked = result.cell.replace({"tuning.cells": {str(result.cell.cell.name): own}})
    found = pamdp.tune(asked, trials=2)
    assert (found.cell.learner.gamma, found.score) == (0.6, 0.0)


def test_what_is_no_folder_is_refused(result) -> None:
    Path("a_file").write_text("text")
    Path("empty").mkdir()
    for path in ("nothing", "empty", "a_file"):
        with pytest.raises(PamdpError, match=f"{path}: expected a folder with a SavedModel, rec"):
            pamdp.load(path)
    for write in (pamdp.TensorBoard, partial(pamdp.save, result)):
        with pytest.raises(PamdpError, match="expected a folder, received the file a_file"):
            write("a_file/below")
        with pytest.raises(PamdpError, match="gs://bucket/x: expected a folder of this machine"):
            write("gs://bucket/x")


def test_tensorboard_has_a_curve_for_each_seed() -> None:
    board = pamdp.TensorBoard("curves")
    for step in (100, 200):
        for seed in (1, 2):
            board(seed, Point(step, {"eval/return": step / 100 + seed, "eval/length": 4.0}))
    for seed in (1, 2):
        assert events(Path(f"curves/seed-{seed}")) == {
            ("eval/return", 100): 1 + seed,
            ("eval/return", 200): 2 + seed,
            ("eval/length", 100): 4.0,
            ("eval/length", 200): 4.0,
        }


def events(folder: Path) -> dict[tuple[str, int], float]:
    """What TensorBoard reads: scalars by tag and step."""
    (file,) = folder.glob("events.out.tfevents.*")
    found = {}
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


# -- What is loaded and installed ------------------------------------------------------------------

LAZY = """
import sys, gymnasium, pamdp.envs
print(sorted({"PIL.Image", "matplotlib"} & {*sys.modules}))
def loaded():
    return sorted({"dvc", "mlflow", "optuna", "pamdp.api", "tensorflow"} & {*sys.modules})
environment = gymnasium.make("pamdp/Platform-v0", render_mode="rgb_array")
print(loaded())
pamdp.cell("platform")
print(loaded())
environment.reset(seed=1)
print(loaded())
"""
ALONE = """
import sys
from pamdp.extras import MODULES
sys.modules |= dict.fromkeys(MODULES)  # an import of them fails
import gymnasium, pamdp
environment = gymnasium.make("pamdp/Platform-v0", render_mode="rgb_array")
environment.reset(seed=1)
print(len(environment.step(environment.action_space.sample())), environment.render().ndim)
small = {"training.steps": 600, "training.report_every": 600, "learner.q.hidden": [8]}
result = pamdp.train(pamdp.cell(changes=small), on_point=pamdp.TensorBoard("curves"))
pamdp.save(result, "policy")
print(sorted(pamdp.load("policy")([[0.0] * 9]))[0], len(pamdp.evaluate(result, episodes=3).returns))
try:
    pamdp.tune(result.cell, trials=1)
except ImportError as error:
    print(error)
from pamdp.cli import main
main(["study"])
"""


def run(script: str) -> tuple[list[str], str]:
    """The lines that a fresh interpreter prints, and the last one of its errors."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return done.stdout.splitlines(), (done.stderr.splitlines() or [""])[-1]


def test_only_what_is_used_is_loaded() -> None:
    lines, _ = run(LAZY)
    assert lines == ["[]", "[]", "['pamdp.api']", "['pamdp.api', 'tensorflow']"]


def test_environments_training_and_saving_do_without_the_extra() -> None:
    missing = (
        "expected the packages of the extra `study`, received an installation without "
        f'{", ".join(MODULES)}; run `pip install "pamdp[study]"`'
    )
    lines, error = run(ALONE)
    assert lines == ["5 3", "action 3", f"pamdp.tune: {missing}"]
    assert error == f"error: pamdp study: {missing}"


def test_the_extra_has_the_packages_of_what_it_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def modules(requirements: list[str]) -> str:
        return " ".join(each.replace("-", "_") for each in requirements)

    study, base = project["optional-dependencies"]["study"], project["dependencies"]
    assert [module for module in MODULES if module not in modules(study)] == []
    assert [module for module in MODULES if module in modules(base)] == []

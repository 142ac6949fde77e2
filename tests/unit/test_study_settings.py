"""What a study consists of, and what tuning makes of it."""

import copy
from typing import Any

import numpy as np
import pytest

from pamdp.algorithms import ALGORITHMS
from pamdp.base.component import floats, structure
from pamdp.base.lazy import tf
from pamdp.learning.cell import policy_of
from pamdp.learning.learner_settings import NStep
from pamdp.learning.policy import Weights
from pamdp.learning.training import Training
from pamdp.settings import Settings
from pamdp.tuning.settings import Tuning
from pamdp.tuning.space import Space
from tests.helpers import changed, params, settings, undashed

LEARNER = "environments__platform__learner"
N_STEP = {"steps": 3, "beta": 0.5}


def test_a_smaller_study_needs_no_smaller_space() -> None:
    small = settings(study__strategies=["plain"], study__algorithms=["pdqn"])
    assert [str(cell.name) for cell in small.cells] == ["platform-pdqn-plain"]


def test_without_trials_the_ranges_of_tuning_do_not_matter() -> None:
    study = settings(**{f"{LEARNER}__q__learning_rate": 0.5, "tuning__trials": 0})
    assert study.cells[0].learner.q.learning_rate == 0.5


def test_chains_are_cells() -> None:
    study = settings(study__strategies=["reversal_inverting"])
    assert [cell.name.strategy for cell in study.cells] == ["reversal_inverting"] * 2
    assert floats(study.cells[0])["strategy.members.0.factor"] == 0.1


def test_names_of_ones_own_stand_for_a_kind_with_other_settings() -> None:
    study = settings(
        study__algorithms=["mine"],
        study__strategies=["strong", "reversal"],
        algorithms__mine={"kind": "spdqn"},
        gradients__strong={"kind": "reversal", "factor": 0.5, "scope": "all"},
    )
    strong, known = study.cells
    assert str(strong.name) == "platform-mine-strong"
    assert (strong.algorithm.kind, strong.strategy.kind, strong.strategy.factor) == (
        "spdqn",
        "reversal",
        0.5,
    )
    assert (known.strategy.factor, known.name.strategy) == (0.1, "reversal")
    assert study.cell("platform-mine-strong") == strong


def test_integers_are_numbers_and_become_floats() -> None:
    gamma = settings(**{f"{LEARNER}__gamma": 1}).cells[0].learner.gamma
    assert gamma == 1.0
    assert isinstance(gamma, float)


FAST = {"environments__fast__learner__q__learning_rate": 0.5}


def with_a_second_environment(**changes: Any) -> Settings:
    """Of whose cells none could be trial 0."""
    values = params()
    values["environments"]["fast"] = copy.deepcopy(values["environments"]["platform"])
    return Settings.model_validate(changed(values, undashed(FAST | changes)))


def test_cells_that_the_study_does_not_run_need_not_fit_the_ranges_of_tuning() -> None:
    study = with_a_second_environment()
    assert {cell.name.environment for cell in study.cells} == {"platform"}
    said = r"tuning.space.0: expected a range around 0.5, with which fast-pdqn-plain starts"
    with pytest.raises(ValueError, match=said):
        with_a_second_environment(study__environments=["platform", "fast"])
    with_a_second_environment(study__environments=["fast"], tuning__trials=0)


BETA = {"path": "learner.n_step.beta", "low": 0.0, "high": 1.0}
AHEAD = {"environments__fast__learner__n_step": N_STEP}


def test_the_ends_of_a_range_have_to_be_allowed_in_the_cells_of_the_study() -> None:
    beyond = AHEAD | {"tuning__space": [BETA | {"high": 1.5}]}
    with_a_second_environment(**beyond)
    said = r"tuning.space.0.high: learner.n_step.beta: .*to 1, received 1.5"
    for trials in (0, 8):
        with pytest.raises(ValueError, match=said):
            with_a_second_environment(study__environments=["fast"], tuning__trials=trials, **beyond)


def test_the_space_may_name_what_only_another_environment_has() -> None:
    """So that a smaller study needs no smaller space, as with algorithms and strategies."""
    study = with_a_second_environment(tuning__space=[BETA], **AHEAD)
    assert "learner.n_step.beta" not in floats(study.cells[0])
    with pytest.raises(ValueError, match=r"n_step is null, give it a value first"):
        settings(tuning__space=[BETA])


OUTPUT = {"path": "learner.q.output_std", "low": 1e-6, "high": 1e-2, "log": True}
GOAL = {"study__environments": ["platform", "goal"], "study__algorithms": ["mpdqn"]}


def test_a_range_has_to_be_of_numbers_in_some_cell_that_shares_it() -> None:
    settings(tuning__space=[OUTPUT], **GOAL)
    settings(tuning__space=[OUTPUT], tuning__trials=0)
    own = {"platform-mpdqn-plain": {"space": [OUTPUT]}}
    said = r"tuning.cells.platform-mpdqn-plain.space.0.path: .* which is null in each cell"
    with pytest.raises(ValueError, match=said):
        settings(tuning__cells=own, **GOAL)
    settings(tuning__cells={"goal-mpdqn-plain": own["platform-mpdqn-plain"]}, **GOAL)


def test_what_does_not_fit_the_environment_cannot_be_tried() -> None:
    bias, weight = "initial_parameters.bias", "initial_parameters.weights.0.feature"
    start = [12.5, 0.0, 6.01, -6.01]
    study = {"study__environments": ["goal"]}
    for entry, said in (
        ({"path": bias, "choices": [start, [1.0, 2.0]]}, f"choices.1: {bias}: .* received 2"),
        ({"path": weight, "low": 0, "high": 500}, f"high: {weight}: .* below 17, received 500"),
    ):
        with pytest.raises(ValueError, match=f"tuning.space.0.{said}"):
            settings(tuning__space=[entry], **study)
    subject = settings(tuning__space=[], **study).cells[0]
    with pytest.raises(ValueError, match="expected 4 numbers, one for each parameter, received 2"):
        subject.replace({bias: [1.0, 2.0]})


def test_a_cell_without_a_dimension_has_no_trial_but_the_first() -> None:
    own = {"platform-mpdqn-plain": {"space": [], "use_trial": 0}}
    settings(tuning__cells=own)
    own["platform-mpdqn-plain"]["use_trial"] = 1
    with pytest.raises(ValueError, match=r"mpdqn-plain.*: expected 0, the only trial .*received 1"):
        settings(tuning__cells=own)


@pytest.mark.parametrize(
    ("share", "steps"), [(0.25, 250), (1.0, 1000), (1e-9, 1), (0.0006, 1), (0.3337, 334)]
)
def test_a_trial_is_a_share_of_the_training_of_its_environment(share, steps) -> None:
    full = Training(steps=1000, report_every=100, evaluation_episodes=7)
    tuning = settings(tuning__share=share, tuning__trials=0).tuning
    assert tuning.training(full) == Training(steps=steps, report_every=100, evaluation_episodes=7)
    assert full.steps == 1000


def test_runs_too_short_to_learn_are_refused() -> None:
    training, start = (
        "environments__platform__training__steps",
        "expected runs of more than 500 steps",
    )
    with pytest.raises(ValueError, match=rf"platform\.training\.steps: {start}.*received 500 "):
        settings(**{training: 500}, tuning__trials=0)
    settings(**{training: 501}, tuning__trials=0)
    told = r"received 0\.0125 of the 40000 steps of environments\.platform\.training\.steps, 500 "
    with pytest.raises(ValueError, match=rf"tuning\.share: {start} in platform.*{told}"):
        settings(tuning__share=0.0125)


def test_what_is_said_for_a_cell_holds_for_it_alone() -> None:
    name = "platform-mpdqn-inverting"
    own = {name: {"trials": 20, "use_trial": 3, "sampler": {"kind": "random"}}}
    study = settings(tuning__cells=own)
    of_it, other = study.tuning.of(name), study.tuning.of("platform-mpdqn-plain")
    assert (of_it.trials, of_it.use_trial, of_it.sampler.kind) == (20, 3, "random")
    assert (of_it.seeds, of_it.space, of_it.cells) == (study.tuning.seeds, study.tuning.space, {})
    assert other == settings().tuning.of("platform-mpdqn-plain")


def test_a_search_is_the_same_with_more_trials_and_whichever_is_used() -> None:
    tuning = settings().tuning
    for change in (
        {"trials": 28},
        {"use_trial": 3},
        {"cells": {"platform-mpdqn-plain": {"lag": 1}}},
    ):
        assert Tuning.model_validate(tuning.model_dump() | change).identity == tuning.identity
    for change in ({"lag": 1}, {"seeds": (7,)}, {"sampler": {"kind": "random"}}, {"share": 0.5}):
        assert Tuning.model_validate(tuning.model_dump() | change).identity != tuning.identity


def test_integers_may_be_tuned_as_far_as_the_memory_holds_them() -> None:
    batch = {"path": "learner.batch_size", "low": 32, "high": 256}
    steps = {"path": "learner.n_step", "choices": [None, {"steps": 5000, "beta": 0.5}]}
    settings(tuning__space=[batch, steps])
    many = {"path": "learner.replay_size", "choices": [*range(5000, 5020), 10000]}
    starts = {"path": "learner.learning_starts", "choices": [*range(490, 510)]}
    space = Space(settings().cells[0], settings(tuning__space=[batch, steps, many, starts]).tuning)
    worst = space.most_demanding.learner  # of all their combinations
    assert (worst.batch_size, worst.n_step) == (256, NStep(steps=5000, beta=0.5))
    assert (worst.replay_size, worst.learning_starts) == (5000, 509)
    memory = {"path": "learner.replay_size", "low": 4000, "high": 10000}
    said = "tuning.space: learner.n_step.steps: expected at most .* 4000 .* received 5000"
    with pytest.raises(ValueError, match=said):
        settings(tuning__space=[batch, memory, steps])


def test_n_step_targets_are_floats_and_structure() -> None:
    path = f"{LEARNER}__n_step"
    cell, other = (settings(**{path: {"steps": 3, "beta": beta}}).cells[0] for beta in (0.5, 0.25))
    assert floats(cell)["learner.n_step.beta"] == 0.5
    assert structure(cell) == structure(other)
    assert structure(cell) != structure(settings(**{path: {"steps": 4, "beta": 0.5}}).cells[0])
    assert structure(cell) != structure(settings().cells[0])


def test_a_sparse_environment_is_a_task() -> None:
    task = {"kind": "sparse", "task": {"kind": "platform", "version": "v0", "noise": 0.5}}
    cell = settings(environments__platform__task=task).cells[0]
    assert floats(cell)["task.task.noise"] == 0.5
    assert cell.task.gymnasium_id == "pamdp/SparsePlatform-v0"


def test_every_environment_of_the_file_can_be_studied_as_it_stands() -> None:
    """Naming it is enough: what tuning varies goes around what it starts with."""
    blocks = params()["environments"]
    some = [name for name, block in blocks.items() if block["learner"].get("candidates")]
    every = [name for name in blocks if name not in some]
    own = [kind for kind, algorithm in ALGORITHMS.items() if algorithm.own]
    for names, algorithms in ((every, list(ALGORITHMS)), (some, own)):
        study = settings(study__environments=names, study__algorithms=algorithms)
        assert {cell.name.environment for cell in study.cells} == set(names)


def test_goal_starts_from_the_published_parameters() -> None:
    """In scaled units of the 17 scaled features."""
    study = settings(study__environments=["goal"], tuning__trials=0)
    cell = study.cell("goal-mpdqn-plain")
    policy = policy_of(cell)
    s = tf.random.stateless_uniform([20, 17], [1, 2], -1.0, 1.0)
    nothing = tf.nest.map_structure(tf.zeros_like, policy.initial(tf.constant([1, 2])))
    f = s.numpy().T
    published = [
        -0.375 + 0.5 * f[10] + 0.0625 * f[14],
        0.83333 * f[11] + 0.11111 * f[15],
        np.full(20, 0.857347),
        np.full(20, -0.857347),
    ]
    x = policy.parameters(Weights(nothing, (), ()), s)
    np.testing.assert_allclose(x.numpy().T, published, atol=1e-5)

"""What a study takes, and what of it is odd, is said by setup before anything runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pamdp import foresight
from pamdp.algorithms import ALGORITHMS
from pamdp.base.errors import SettingsError
from pamdp.base.lazy import tf
from pamdp.checkout import Checkout
from pamdp.estimate import Estimate
from pamdp.learning.loops import loop_of
from pamdp.settings import Settings
from pamdp.stages import setup
from tests.helpers import settings
from tests.unit.two_cells import small

LEARNER = "environments__platform__learner"
STEPS = "environments__platform__training__steps"
ONE = {"study__algorithms": ["mpdqn"], "study__strategies": ["plain"], "tuning__trials": 0}
PLATFORM = {"study__environments": ["platform"], "study__seeds": [1]}


def facts(study: Settings, length: float = 5.0) -> dict[str, dict[str, Any]]:
    """What setup finds out, of random play with episodes of this length."""
    return {
        name: study.environments[name].task.describe() | {"random_policy": {"length_mean": length}}
        for name in study.study.environments
    }


def estimate(**changes: Any) -> Estimate:
    study = settings(**ONE | PLATFORM | changes)
    return Estimate(study, study.cells[0], facts(study)[study.cells[0].name.environment])


def said(length: float = 5.0, **changes: Any) -> list[str]:
    study = settings(**ONE | PLATFORM | changes)
    return [*foresight.foretold(study, facts(study, length))]


@pytest.fixture
def memory(monkeypatch):
    """Sets the memory of the machine, which has two workers."""
    monkeypatch.setenv("PAMDP_WORKERS", "2")
    monkeypatch.delenv("PAMDP_ENGINE", raising=False)
    monkeypatch.setattr(foresight, "_control_groups", list)

    def memory(size: float) -> None:
        machine = SimpleNamespace(total=size)
        monkeypatch.setattr(foresight.psutil, "virtual_memory", lambda: machine)

    memory(16e9)
    return memory


# -- Estimates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_weights_and_memory_are_counted_as_they_are(algorithm) -> None:
    found = estimate(study__algorithms=[algorithm])
    learner = loop_of(found.cell).initial(1).learner
    networks = learner.q_network.online, learner.x_network.online
    weights = sum(np.size(leaf) for leaf in tf.nest.flatten(networks))
    biases = sum(2 * np.shape(leaf)[0] for leaf in tf.nest.flatten(networks)[:2]) + 1000
    assert 0 <= weights - found._weights < biases  # biases are left out
    kept = found.parts(1)["learner.replay_size"] / 3  # beside two copies
    assert kept == np.size(learner.replay) * 4


@pytest.mark.parametrize(
    ("environment", "algorithm", "hidden", "measured"),
    [  # microseconds of a step, of one seed on one core: what the constants were fitted to, from
        # docs/performance.md and docs/algorithms.md or measured beside them; so this guards the
        # formulas and no more
        ("platform", "pdqn", [128], 128),
        ("platform", "mpdqn", [128], 135),
        ("platform", "mpdqn", [512], 356),
        ("platform", "mpdqn", [1024, 1024], 51_796),
        ("goal", "mpdqn", [256], 330),
        ("hard_move_6", "pdqn", [128], 584),
        ("hard_move_6", "mpdqn", [128], 940),
        ("hard_move_8", "mpdqn", [128], 2_530),
        ("hard_move_10", "mpdqn", [128], 13_370),
        ("hard_move_4_sampled", "mpdqn", [64, 64], 330),
        ("hard_move_8_sampled", "mpdqn", [64, 64], 625),
        ("hard_move_10_sampled", "mpdqn", [64, 64], 1_390),
        ("hard_move_4_sampled", "epdqn", [64, 64], 377),
        ("hard_move_10_sampled", "epdqn", [64, 64], 581),
    ],
)
def test_time_is_within_a_factor_of_two_of_what_it_was_fitted_to(
    environment, algorithm, hidden, measured
) -> None:
    networks = {
        f"environments__{environment}__learner__{name}__hidden": hidden
        for name in ("q", "parameters")
    }
    changes = {"study__environments": [environment], "study__algorithms": [algorithm]} | networks
    steps = f"environments__{environment}__training__steps"
    short, long = (estimate(**changes, **{steps: n}) for n in (10**8, 2 * 10**8))
    # Evaluations are a small part.
    assert 0.5 < (long.seconds - short.seconds) / 1e8 * 1e6 / measured < 2


@pytest.mark.parametrize(
    ("changes", "measured"),
    [  # megabytes at the peak of a process with one worker, and evaluations of 100 episodes
        ({}, 901),
        ({"study__environments": ["goal"]}, 1014),
        ({"study__environments": ["hard_move_10"]}, 2046),
        ({"study__environments": ["hard_move_10"], "study__seeds": [1, 2]}, 2466),
        ({"study__environments": ["hard_move_10"], "study__algorithms": ["spdqn"]}, 2232),
        ({f"{LEARNER}__replay_size": 5_000_000}, 1919),
        ({f"{LEARNER}__replay_size": 2_000_000, "study__seeds": [1, 2, 3]}, 1932),
        (
            {f"{LEARNER}__q__hidden": [4096] * 2, f"{LEARNER}__parameters__hidden": [4096] * 2},
            2518,
        ),
    ],
)
def test_memory_is_hardly_less_and_at_most_half_more_than_was_measured(changes, measured) -> None:
    found = estimate(**changes, evaluation__episodes=100).memory(1)
    assert 0.9 < found / 2**20 / measured < 1.5


def test_processes_hold_one_state_each_and_threads_all(monkeypatch) -> None:
    many = estimate(study__seeds=[1, 2, 3, 4], **{f"{LEARNER}__replay_size": 10_000_000})
    assert many.parts(1)["learner.replay_size"] == 6 * 1e9
    monkeypatch.setenv("PAMDP_ENGINE", "processes")
    assert many.parts(1)["learner.replay_size"] == 3 * 1e9
    assert many.parts(2)["learner.replay_size"] == 6 * 1e9


def test_seeds_that_are_trained_level_share_a_process(monkeypatch) -> None:
    monkeypatch.setenv("PAMDP_ENGINE", "processes")
    level = {
        f"{LEARNER}__replay_size": 10_000_000,
        "tuning__trials": 4,
        "tuning__lag": 2,
        "tuning__seeds": [11, 12, 13],
    }
    tuned = estimate(**level)
    assert tuned.parts(1)["learner.replay_size"] == (3 + 2) * 1e9
    assert tuned.parts(8)["learner.replay_size"] == 2 * (3 + 2) * 1e9
    assert tuned.parts(8)[""] == 3e9  # two at work, whatever seeds they have
    four = level | {"tuning__seeds": [11, 12, 13, 14]}
    one_by_one = estimate(**four, tuning__pruner={"kind": "wilcoxon"})
    assert one_by_one.parts(1)["learner.replay_size"] == 3 * 1e9


def test_what_is_tuned_of_a_cell_alone_counts() -> None:
    cell = "platform-mpdqn-plain"
    assert estimate().tuning_share == 0
    own = {"trials": 40, "share": 0.25, "seeds": [11, 12]}
    assert estimate(tuning__cells={cell: own}).tuning_share == 20 / 21


# -- What is said ----------------------------------------------------------------------------------


def test_setup_says_what_the_study_takes(tmp_path, memory, capsys) -> None:
    setup.set_up(Checkout(small(), tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "setup: measuring platform"
    assert lines[1:] == [
        "setup: 2 cells",
        "setup: comparisons.strategies: no verdict is possible: with 2 seeds a cell even complete "
        "separation has p 0.33, corrected for 1 comparison 0.33, and a verdict takes 0.05; name 4 "
        "seeds or more in study.seeds",
        "setup: the whole study takes about 2 minutes with 2 at work, and about 2.0 GB of memory "
        "at most",
    ]


def test_time_is_said_in_units_of_its_own(memory) -> None:
    assert "about 1 minute with" in said()[-1]
    assert "about 3 days with" in said(**{STEPS: 2**31 - 1})[-1]
    assert "years with" in said(**{STEPS: 2**31 - 1, "study__seeds": list(range(1000))})[-1]


def test_what_no_memory_holds_is_refused(memory) -> None:
    with pytest.raises(SettingsError) as error:
        said(**{f"{LEARNER}__replay_size": 10**9})
    assert str(error.value) == (
        "environments.platform: expected a study that 16.0 GB of memory can hold, received "
        "platform-mpdqn-plain, which takes about 301.0 GB; make learner.replay_size smaller, with "
        "which 300.0 GB of it go"
    )


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({f"{LEARNER}__q__hidden": [10**6, 10**6]}, "the networks' hidden"),
        ({f"{LEARNER}__batch_size": 10**7, f"{LEARNER}__replay_size": 10**7}, "batch_size"),
        ({"evaluation__episodes": 2**31 - 1}, "the number of episodes in evaluations"),
        (
            {f"{LEARNER}__n_step": {"steps": 10**7, "beta": 1.0}}
            | {f"{LEARNER}__replay_size": 10**7},
            "n_step.steps",
        ),
    ],
)
def test_the_setting_to_change_is_named(memory, changes, setting) -> None:
    with pytest.raises(SettingsError, match=f"make .*{setting} smaller, with which"):
        said(**changes)


def test_several_seeds_that_do_not_fit_may_be_trained_one_at_a_time(memory, monkeypatch) -> None:
    changes = {f"{LEARNER}__replay_size": 30_000_000, "study__seeds": [1, 2, 3, 4, 5]}
    with pytest.raises(SettingsError, match=r"or train one seed at a time \(PAMDP_ENGINE=process"):
        said(**changes)
    monkeypatch.setenv("PAMDP_ENGINE", "processes")
    assert "16.0 GB of memory at most" in said(**changes)[-1]


def test_the_limit_of_a_control_group_counts(memory, monkeypatch, tmp_path) -> None:
    limits = [tmp_path / name for name in ("own", "above", "none")]
    limits[0].write_text("max\n")
    limits[1].write_text("3000000000\n")
    monkeypatch.setattr(foresight, "_control_groups", lambda: limits)
    assert foresight.memory_limit() == 3e9


def test_control_groups_are_found_where_linux_has_them(monkeypatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr(Path, "read_text", lambda _: "4:memory:/a\n3:cpu:/a\n0::/b/c\n")
    found = [str(path) for path in foresight._control_groups()]
    assert found == [
        "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/b/c/memory.max",
        "/sys/fs/cgroup/b/memory.max",
        "/sys/fs/cgroup/memory.max",
    ]


def test_too_few_seeds_for_a_verdict_are_said(memory) -> None:
    whole = {
        "study__algorithms": ["pdqn", "mpdqn"],
        "study__strategies": ["plain", "inverting", "zeroing", "squashing"],
    }
    five = [line for line in said(**whole, study__seeds=[1, 2, 3, 4, 5]) if "comparisons" in line]
    assert five == []  # 6 and 4 comparisons: 6 x 0.0079 is 0.048
    whole["study__strategies"].append("reversal")
    assert [
        each for each in said(**whole, study__seeds=[1, 2, 3, 4, 5]) if "comparisons" in each
    ] == [
        "comparisons.strategies: no verdict is possible: with 5 seeds a cell even complete "
        "separation has p 0.0079, corrected for 8 comparisons 0.063, and a verdict takes 0.05; "
        "name 6 seeds or more in study.seeds"
    ]
    assert len(said(**whole, study__seeds=[1])) == 3  # of algorithms, too
    assert len(said(**whole, study__seeds=[1, 2, 3, 4, 5, 6])) == 1
    two = {"study__environments": ["platform", "goal"], "study__seeds": [1, 2, 3, 4, 5, 6]}
    lines = said(**whole | two)  # families of two environments are corrected apart
    assert not [line for line in lines if "comparisons" in line]


def test_what_is_compared_with_nothing_is_said(memory) -> None:
    changes = {"study__strategies": ["plain", "zeroing"]}
    assert said(**changes)[:-1] == [
        "comparisons.strategies: no strategies are compared, as study.strategies has none of "
        "inverting"
    ]
    assert said(**changes, comparisons__strategies=[])[:-1] == []
    (line,) = said(**changes, comparisons__strategies=["zeroing"])[:-1]
    assert "name 4 seeds or more" in line


def test_exploration_that_hardly_ends_is_said(memory) -> None:
    assert said(length=800.0)[:-1] == [
        "environments.platform: exploration ends at epsilon 0.95: 40,000 steps are about 50 "
        "episodes, and learner.epsilon.episodes is 1,000"
    ]
    assert not said(length=79.0)[:-1]  # beyond half-way
    assert not said(length=800.0, **{f"{LEARNER}__epsilon__end": 1.0})[:-1]


def test_learning_that_starts_late_is_said(memory) -> None:
    late = {f"{LEARNER}__learning_starts": 9000, "tuning__trials": 1}
    trial = "environments.platform: learning starts after 9,000 of the 10,000 steps of a trial"
    assert said(**late)[:-1] == [f"{trial} (learner.learning_starts)"]
    assert not said(**late | {"tuning__trials": 0})[:-1]
    (line,) = said(**late | {"tuning__trials": 0, f"{LEARNER}__replay_size": 8000})[:-1]
    assert "the first transitions are forgotten before learning starts" in line
    own = {"tuning__trials": 0, "tuning__cells": {"platform-mpdqn-plain": {"trials": 1}}}
    assert said(**late | own)[:-1] == [f"{trial} of platform-mpdqn-plain (learner.learning_starts)"]


def test_a_search_over_nothing_is_said_and_takes_one_trial(memory) -> None:
    nothing = {"tuning__space": [], "tuning__trials": 8}
    assert said(**nothing)[:-1] == [
        "tuning: nothing of tuning.space is a setting of platform-mpdqn-plain; only trial 0 of "
        "each is run"
    ]
    assert not said(tuning__trials=8)[:-1]
    assert estimate(**nothing).seconds == estimate(tuning__trials=1).seconds
    assert estimate(**nothing).tuning_share == estimate(tuning__trials=1).tuning_share

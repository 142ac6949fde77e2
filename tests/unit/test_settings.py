"""Settings: every mistake is one message that names the path, what was received and expected."""

import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pamdp.base.errors import SettingsError
from pamdp.settings import load
from tests.helpers import PARAMS, changed, params

PLATFORM = "environments.platform"
TASK = f"{PLATFORM}.task"
LEARNER = f"{PLATFORM}.learner"
CHAIN = "gradients.reversal_inverting"
AHEAD, N_STEP = f"{LEARNER}.n_step", {"steps": 3, "beta": 0.5}
RATE, BATCH = "learner.q.learning_rate", {"path": "learner.batch_size"}
CELL, RANGE = "platform-mpdqn-plain", {"path": "learner.gamm", "low": 0.1, "high": 1.0}
Q = {"path": "learner.q", "choices": [{}, {"hidden": [1]}]}
ONE = f"tuning.cells.{CELL}"
NOTHING = ...  # as a value, deletes the key


def sparse(task: Any) -> dict[str, Any]:
    return {"kind": "sparse", "task": task}


def message(values: Any, folder: Path) -> str:
    """What is said about a file that holds these values."""
    path = folder / "params.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(values, file)
    return message_of(path)


def message_of(path: Path) -> str:
    with pytest.raises(SettingsError) as error:
        load(path)
    return str(error.value)


def test_the_real_file_is_right() -> None:
    study = load(PARAMS)
    names = [
        f"{e}-{a}-{s}"
        for e, a, s in product(
            *(getattr(study.study, field) for field in ("environments", "algorithms", "strategies"))
        )
    ]
    assert [str(cell.name) for cell in study.cells] == names
    assert study.cell("platform-mpdqn-inverting").strategy.kind == "inverting"


# -- Mistakes of one key -----------------------------------------------------------------------

MISTAKES: list[tuple[str, str, Any, str]] = [
    # Unknown keys, at each level.
    ("tunning", "tunning", {}, "unknown key; expected one of study, .*mean 'tuning'"),
    ("training", "training", {}, "unknown key; expected one of study, env"),  # of an environment
    ("study.seed", "study.seed", [1], "unknown key; .*did you mean 'seeds'"),
    (f"{PLATFORM}.lerner", f"{PLATFORM}.lerner", {}, "unknown key; .*did you mean 'learner'"),
    (f"{PLATFORM}.task.nosie", f"{PLATFORM}.task.nosie", 1.0, "mean 'noise'"),
    (f"{PLATFORM}.trainning", f"{PLATFORM}.trainning", {}, "unknown key; .*mean 'training'"),
    (f"{PLATFORM}.training.step", f"{PLATFORM}.training.step", 1, "did you mean 'steps'"),
    (f"{PLATFORM}.threshold", f"{PLATFORM}.threshold", 0.9, "did you mean 'return_threshold'"),
    (f"{LEARNER}.gama", f"{LEARNER}.gama", 0.9, "did you mean 'gamma'"),
    (f"{LEARNER}.q.hiden", f"{LEARNER}.q.hiden", [1], "did you mean 'hidden'"),
    (f"{LEARNER}.exploration.theta", f"{LEARNER}.exploration.theta", 0.1, "expected one of kind"),
    ("gradients.reversal.fctor", "gradients.reversal.fctor", 1.0, "did you mean 'factor'"),
    ("algorithms.pdqn.kin", "algorithms.pdqn.kin", 1.0, "unknown key; .*did you mean 'kind'"),
    (f"{CHAIN}.0.fctor", f"{CHAIN}.0.fctor", 1.0, "did you mean 'factor'"),
    (f"{AHEAD}.step", AHEAD, N_STEP | {"step": 1}, "mean 'steps'"),
    ("tuning.training", "tuning.training", {"steps": 1}, "unknown key; expected one of trials"),
    ("evaluation.return_threshold", "evaluation.return_threshold", 0.9, "expected one of episodes"),
    ("tuning.space.0.lo", "tuning.space.0.lo", 1.0, "did you mean 'log'|did you mean 'low'"),
    ("study.7", "study.7", 1, "unknown key"),
    # Kinds and names of things.
    ("gradients.reversal.kind", "gradients.reversal.kind", "reversl", "received 'reversl'; did"),
    (f"{CHAIN}.1.kind", f"{CHAIN}.1.kind", "invertng", "did you mean 'inverting'"),
    (f"{PLATFORM}.task.kind", f"{PLATFORM}.task.kind", "platfrom", "did you mean 'platform'"),
    (f"{PLATFORM}.task.kind", f"{PLATFORM}.task.kind", NOTHING, "expected a value, received none"),
    (f"{LEARNER}.exploration.kind", f"{LEARNER}.exploration.kind", "unifrm", "'uniform'"),
    ("gradients.reversal", "gradients.reversal", {"kind": "plain"}, "kind 'reversal', .*'plain'"),
    ("algorithms.pdqn", "algorithms.pdqn", {"kind": "mpdqn"}, "the kind 'pdqn', .*'mpdqn'"),
    ("algorithms.pdqn.kind", "algorithms.pdqn.kind", "pdqm", "received 'pdqm'; .* 'pdqn'"),
    (f"{LEARNER}.td_loss", f"{LEARNER}.td_loss", "hubert", "'huber' or 'squared', received 'hub"),
    (f"{LEARNER}.q.activation", f"{LEARNER}.q.activation", "rleu", "did you mean 'relu'"),
    (f"{PLATFORM}.task.version", f"{PLATFORM}.task.version", "v7", "expected 'v0', received 'v7'"),
    # Environments within environments.
    (f"{TASK}.task", TASK, {"kind": "sparse"}, "expected a value, received none"),
    (f"{TASK}.task.kind", TASK, sparse({"kind": "platfrm"}), "did you mean 'platform'"),
    (f"{TASK}.task.kind", TASK, sparse({"kind": "sparse"}), "expected one of 'platform'"),
    (f"{TASK}.task.nosie", TASK, sparse({"kind": "platform", "nosie": 1}), "mean 'noise'"),
    # Types.
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", "0.9", "a valid number, received '0.9'"),
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", True, "a valid number, received True"),
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", None, "a valid number, received null"),
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", [0.9], r"a valid number, received \[0.9\]"),
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", {"a": 1}, "a valid number, received {'a': 1}"),
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", NOTHING, "expected a value, received none"),
    (f"{LEARNER}", f"{LEARNER}", NOTHING, "expected a value, received none"),
    (AHEAD, AHEAD, NOTHING, "expected a value, received none"),
    (AHEAD, AHEAD, 3, "expected keys with values, received 3"),
    (f"{AHEAD}.beta", AHEAD, {"steps": 3}, "a value, received none"),
    (f"{PLATFORM}.training", f"{PLATFORM}.training", NOTHING, "expected a value, received none"),
    (f"{PLATFORM}.return_threshold", f"{PLATFORM}.return_threshold", None, "number, received null"),
    ("tuning.share", "tuning.share", NOTHING, "expected a value, received none"),
    (f"{LEARNER}.batch_size", f"{LEARNER}.batch_size", 1.5, "a valid integer, received 1.5"),
    (f"{LEARNER}.batch_size", f"{LEARNER}.batch_size", 128.0, "valid integer, received 128.0"),
    (f"{LEARNER}.batch_size", f"{LEARNER}.batch_size", True, "a valid integer, received True"),
    (f"{LEARNER}.batch_size", f"{LEARNER}.batch_size", "1", "a valid integer, received '1'"),
    (f"{LEARNER}.q.hidden", f"{LEARNER}.q.hidden", 128, "expected a list, received 128"),
    (f"{LEARNER}.q.hidden", f"{LEARNER}.q.hidden", {"a": 1}, "a list, received {'a': 1}"),
    (f"{LEARNER}.q.hidden.1", f"{LEARNER}.q.hidden", [1, "a"], "a valid integer, received 'a'"),
    (f"{LEARNER}.q.hidden.0", f"{LEARNER}.q.hidden", [True], "a valid integer, received True"),
    ("tuning.space.0.log", "tuning.space.0.log", "yes", "a valid boolean, received 'yes'"),
    ("tuning.space.0.log", "tuning.space.0.log", 1, "a valid boolean, received 1"),
    ("study", "study", None, "expected keys with values, received null"),
    ("study", "study", [1], r"expected keys with values, received \[1\]"),
    ("gradients.reversal", "gradients.reversal", "plain", "keys with values, received 'plain'"),
    (f"{CHAIN}.1", f"{CHAIN}.1", [{"kind": "plain"}] * 2, "expected keys with values"),
    # Ranges.
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", 1.5, "less than or equal to 1, received 1.5"),
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", -0.1, "greater than or equal to 0, received -0.1"),
    (f"{LEARNER}.gamma", f"{LEARNER}.gamma", float("nan"), "finite number, received nan"),
    (f"{LEARNER}.gradient_clip", f"{LEARNER}.gradient_clip", float("inf"), "finite .*inf"),
    (f"{LEARNER}.q.learning_rate", f"{LEARNER}.q.learning_rate", 0.0, "greater than 0, .* 0.0"),
    (f"{LEARNER}.q.hidden.0", f"{LEARNER}.q.hidden", [0], "than or equal to 1, received 0"),
    (f"{LEARNER}.q.hidden", f"{LEARNER}.q.hidden", [], r"list of at least 1, received \[\]"),
    (f"{LEARNER}.batch_size", f"{LEARNER}.batch_size", 0, "greater than or equal to 1"),
    (f"{PLATFORM}.task.noise", f"{PLATFORM}.task.noise", -1.0, "greater than or equal to 0"),
    (f"{AHEAD}.steps", AHEAD, N_STEP | {"steps": 1}, "greater than or equal to 2, received 1"),
    (f"{AHEAD}.beta", AHEAD, N_STEP | {"beta": 1.5}, "less than or equal to 1, received 1.5"),
    (f"{PLATFORM}.training.steps", f"{PLATFORM}.training.steps", 0, "equal to 1, received 0"),
    ("tuning.share", "tuning.share", 0.0, "greater than 0, received 0.0"),
    ("tuning.share", "tuning.share", 1.01, "less than or equal to 1, received 1.01"),
    ("tuning.share", "tuning.share", float("nan"), "received nan"),
    ("gradients.reversal.factor", "gradients.reversal.factor", float("-inf"), "finite number"),
    ("tuning.lag", "tuning.lag", 0, "greater than or equal to 1, received 0"),
    ("tuning.trials", "tuning.trials", -1, "greater than or equal to 0, received -1"),
    ("study.seeds.1", "study.seeds", [1, -1], "greater than or equal to 0, received -1"),
    ("study.seeds.0", "study.seeds", [2**31], "less than or equal to 2147483647"),
    # What it becomes: int32, float32, a part of a file's name.
    (f"{LEARNER}.batch_size", f"{LEARNER}.batch_size", 2**31, "than or equal to 2147483647"),
    (f"{PLATFORM}.training.steps", f"{PLATFORM}.training.steps", 10**30, "equal to 2147483647"),
    (f"{LEARNER}.q.hidden.0", f"{LEARNER}.q.hidden", [2**63], "equal to 2147483647"),
    (f"{AHEAD}.steps", AHEAD, N_STEP | {"steps": 2**31}, "equal to 2147483647"),
    ("tuning.trials", "tuning.trials", 2**31, "equal to 2147483647"),
    (f"{LEARNER}.reward_scale", f"{LEARNER}.reward_scale", 1e300, r"size 1e-12 to 1e\+12 \(or 0\)"),
    (f"{LEARNER}.q.learning_rate", f"{LEARNER}.q.learning_rate", 1e-300, "size 1e-12 to"),
    (f"{LEARNER}.q.tau", f"{LEARNER}.q.tau", 1e-300, "size 1e-12 to 1e"),
    (f"{PLATFORM}.return_threshold", f"{PLATFORM}.return_threshold", -1e13, "size 1e-12 to 1e"),
    (f"{PLATFORM}.task.noise", f"{PLATFORM}.task.noise", 10**400, r"a valid number, .*000\.\.\.$"),
    ("study.name", "study.name", "n" * 37, "a text of at most 36 characters"),
    ("study.seeds", "study.seeds", list(range(1001)), "a list of at most 1000"),
    (f"{LEARNER}.q.hidden", f"{LEARNER}.q.hidden", [1] * 33, "a list of at most 32"),
    (CHAIN, CHAIN, [{"kind": "plain"}] * 17, "a list of at most 16"),
    # What no memory holds.
    (
        f"{LEARNER}.batch_size",
        f"{LEARNER}.batch_size",
        10001,
        r"10000 .*learner.replay_size.*10001",
    ),
    (f"{AHEAD}.steps", AHEAD, N_STEP | {"steps": 10001}, "keeps, 10000 transitions .* 10001"),
    # Names.
    ("study.name", "study.name", "a b; rm", "lower-case letters.*received 'a b; rm'"),
    ("study.strategies.1", "study.strategies", ["plain", "plain"], "once, received 'plain' again"),
    ("study.strategies.0", "study.strategies", ["plan"], "received 'plan'; did you mean 'plain'"),
    ("study.strategies.0", "study.strategies", ["reversal_invert"], "mean 'reversal_inverting'"),
    ("study.strategies", "study.strategies", [], "list of at least 1"),
    ("study.chains", "study.chains", ["reversal_inverting"], "unknown key; expected one of name"),
    ("study.algorithms.0", "study.algorithms", ["mpdqm"], "did you mean 'mpdqn'"),
    ("study.algorithms", "study.algorithms", [], "list of at least 1"),
    ("study.environments.0", "study.environments", ["platfrm"], "did you mean 'platform'"),
    ("study.seeds.2", "study.seeds", [1, 2, 1], "each value once, received 1 again"),
    # Chains.
    (CHAIN, CHAIN, [{"kind": "plain"}], "a list of at least 2"),
    (CHAIN, CHAIN, [{"kind": "squashing"}] * 2, "received squashing and squashing; remove one"),
    # Hand-set parameters.
    (
        f"{PLATFORM}.initial_parameters.bias",
        f"{PLATFORM}.initial_parameters",
        {"bias": [1.0]},
        "expected 3 numbers, one for each parameter, received 1",
    ),
    (
        f"{PLATFORM}.initial_parameters.weights.0.feature",
        f"{PLATFORM}.initial_parameters",
        {"bias": [1.0] * 3, "weights": [{"parameter": 2, "feature": 9, "value": 1.0}]},
        "expected an index below 9, received 9",
    ),
    # Tuning.
    ("tuning.seeds", "tuning.seeds", [70, 1], r"none of study.seeds, received \[1\]"),
    (
        "tuning.space.0.path",
        "tuning.space.0.path",
        "learner.q.rate",
        "path of a setting.*learner.q",
    ),
    (
        "tuning.space.0.path",
        "tuning.space.0.path",
        "learner.td_loss",
        'of a number .*"huber"; give',
    ),
    ("tuning.space.0.path", "tuning.space.0.path", "task.noise", "is of the environment"),
    ("tuning.space.0.path", "tuning.space.0.path", "strategy.kind", "more of them in study.strat"),
    ("tuning.space.0.path", "tuning.space.0.path", "algorithm.kind", "more of them in study.algo"),
    ("tuning.space.0.path", "tuning.space.0.path", "training.steps", "must be comparable"),
    ("tuning.space.0.path", "tuning.space.0.path", "learner", "a whole block; name a setting"),
    ("tuning.space.0.path", "tuning.space.0.path", "learner.n_step.steps", "n_step is null, give"),
    ("tuning.space.0.path", "tuning.space.0.path", f"{LEARNER}.gamma", "cell: 'learner.gamma'"),
    ("tuning.space.1.path", "tuning.space.1", Q, "no path within another's block"),
    ("tuning.space.0", "tuning.space.0", BATCH | {"choices": [64, 256]}, "among which is 128"),
    (
        "tuning.space.0.choices.1",
        "tuning.space.0",
        BATCH | {"choices": [128, 0]},
        "batch_size: .*to 1",
    ),
    ("tuning.space.0.choices.2", "tuning.space.0", BATCH | {"choices": [1, 128, 1]}, "1 again"),
    (
        "tuning.space.0.choices",
        "tuning.space.0",
        BATCH | {"choices": [128]},
        "a list of at least 2",
    ),
    ("tuning.space.0.low", "tuning.space.0", BATCH | {"low": 1.5, "high": 256}, "an integer, as"),
    ("tuning.space.0.high", "tuning.space.0", BATCH | {"low": 1, "high": 20000}, "10000 .* 20000"),
    (
        "tuning.share",
        "tuning.space.0",
        {"path": "learner.learning_starts", "low": 1, "high": 10000},
        r"more than 10000 steps .* 10000$",
    ),
    ("tuning.enqueue.0", "tuning.enqueue", [{"learner.gamma": 1.0}], "expected paths of tuning.sp"),
    ("tuning.enqueue.0", "tuning.enqueue", [{RATE: 1.0}], "to be 0.0003 to 0.003, as .* 1.0"),
    ("tuning.enqueue.0", "tuning.enqueue", [{RATE: "x"}], "rate: expected a valid number, .*'x'"),
    ("tuning.enqueue.1", "tuning.enqueue", [{RATE: 1e-3}, {}], "keys with values, received {}"),
    ("tuning.use_trial", "tuning.use_trial", 8, r"a trial below 8 \(trials\), received 8"),
    ("tuning.use_trial", "tuning.use_trial", 3, "under tuning.cells.<cell>, .*received 3 for all"),
    ("tuning.seeds", "tuning.pruner", {"kind": "wilcoxon", "p_threshold": 0.3}, "least 2 of them"),
    (
        "tuning.pruner.p_threshold",
        "tuning.pruner",
        {"kind": "wilcoxon", "p_threshold": 0.0},
        "than 0",
    ),
    ("tuning.sampler.kind", "tuning.sampler", {"kind": "tpee"}, "did you mean 'tpe'"),
    ("tuning.sampler.seed", "tuning.sampler", {"kind": "tpe", "seed": 1}, "unknown key"),
    ("tuning.pruner.min_resource", "tuning.pruner", {"kind": "successive_halving"}, "none"),
    # For a single cell.
    ("tuning.cells.platform-a-b", "tuning.cells", {"platform-a-b": {}}, "'platform-a-b'; did you"),
    (f"tuning.cells.{CELL}s", "tuning.cells", {f"{CELL}s": {}}, f"mean '{CELL}'"),
    (f"{ONE}.cells", "tuning.cells", {CELL: {"cells": {}}}, "for this cell alone, received cells"),
    (
        f"{ONE}.pruner.kind",
        "tuning.cells",
        {CELL: {"pruner": {"kind": "wilcxn"}}},
        "mean 'wilcoxon'",
    ),
    (
        f"{ONE}.seeds",
        "tuning.cells",
        {CELL: {"pruner": {"kind": "wilcoxon"}}},
        "at least 4 of them",
    ),
    (f"{ONE}.trails", "tuning.cells", {CELL: {"trails": 1}}, "unknown key; .*mean 'trials'"),
    (f"{ONE}.lag", "tuning.cells", {CELL: {"lag": 0}}, "greater than or equal to 1, received 0"),
    (f"{ONE}.use_trial", "tuning.cells", {CELL: {"use_trial": 9}}, "below 8"),
    (f"{ONE}.seeds", "tuning.cells", {CELL: {"seeds": [1]}}, r"none of study.seeds"),
    (f"{ONE}.space.0.path", "tuning.cells", {CELL: {"space": [RANGE]}}, "received 'learner.gamm'"),
    ("tuning.space.1.path", "tuning.space.1.path", "learner.q.learning_rate", "each path once"),
    ("tuning.space.0", "tuning.space.0.low", 1.0, "low < high, received low 1.0, high 0.003"),
    ("tuning.space.0", "tuning.space.0.low", 0.0, "low > 0 on a log scale, received 0.0"),
    ("tuning.space.0", "tuning.space.0.low", 2e-3, "range around 0.001, .*0.002 to 0.003"),
    (
        "tuning.space.0.high",
        "tuning.space.0",
        {"path": "learner.gamma", "low": 0.5, "high": 1.5},
        "learner.gamma: expected less than or equal to 1, received 1.5",
    ),
    (
        "tuning.space.0.choices.1",
        "tuning.space.0",
        {"path": "learner.n_step", "choices": [None, {"stps": 5, "beta": 0.5}]},
        "learner.n_step.stps: unknown key; expected one of steps, beta; did you mean 'steps'",
    ),
    (
        "tuning.space.0.path",
        "tuning.space.0",
        {"path": "learner.q.output_std", "low": 1e-6, "high": 1e-2, "log": True},
        "number for a range, received 'learner.q.output_std', which is null in each cell of the",
    ),
]


@pytest.mark.parametrize(
    ("where", "path", "value", "said"), MISTAKES, ids=[f"{m[1]}={m[2]!r}"[:70] for m in MISTAKES]
)
def test_a_mistake_is_one_message_that_says_where_and_what(
    tmp_path, where, path, value, said
) -> None:
    text = message(changed(params(), {path: value}), tmp_path)
    head, *lines = text.split("\n")
    assert head == f"{tmp_path / 'params.yaml'} is wrong:"
    assert len(lines) == 1, text
    assert lines[0].startswith(f"  {where}: "), text
    assert re.search(said, lines[0]), text
    for internal in ("Input should", "input should", "Value error", "tagged", "validation"):
        assert internal not in text


def test_every_mistake_is_listed(tmp_path) -> None:
    changes = {
        f"{LEARNER}.gamma": 2.0,
        f"{LEARNER}.q.hidden": ["a", 0],
        "gradients.reversal.kind": "revrsal",
        "evaluation.episodes": 0,
    }
    lines = message(changed(params(), changes), tmp_path).split("\n")[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        f"{LEARNER}.gamma",
        f"{LEARNER}.q.hidden.0",
        f"{LEARNER}.q.hidden.1",
        "gradients.reversal.kind",
        "evaluation.episodes",
    ]


def test_a_mistake_that_many_environments_share_fills_no_more_than_a_screen(tmp_path) -> None:
    values = params()
    for environment in values["environments"].values():
        environment["learner"] |= {"gamma": 2.0, "batch_size": 0}
    lines = message(values, tmp_path).split("\n")
    assert len(lines) == 17
    assert lines[-1] == f"  and {2 * len(values['environments']) - 15} more"


@pytest.mark.parametrize("name", ["Plat form", "platform-two", "1st", "$(rm)", "a/b", "Über", ""])
def test_names_that_the_shell_or_the_file_system_could_mind(tmp_path, name) -> None:
    values = params()
    values["environments"][name] = values["environments"]["platform"]
    text = message(values, tmp_path)
    assert f"environments.{name}: expected a name of lower-case letters" in text
    assert text.count("\n") == 1
    assert len(text.split("\n")[1]) < 200  # and not all that stands under it


def test_a_wrong_strategy_that_the_study_does_not_use_is_named_too(tmp_path) -> None:
    values = changed(params(), {"study.strategies": ["plain"], "gradients.reversal.factor": "x"})
    assert "gradients.reversal.factor: expected a valid number" in message(values, tmp_path)


# -- The file ----------------------------------------------------------------------------------

TEXT = PARAMS.read_text()
NOISE = TEXT.partition("noise: 1.0")[0].count("\n") + 1  # its line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file: expected keys with values, received null"),
        ("# nothing\n", "the file: expected keys with values, received null"),
        ("- 1\n", r"the file: expected keys with values, received \[1\]"),
        ("hello\n", "the file: expected keys with values, received 'hello'"),
        ("a: [1\nb: 2", "expected valid YAML 1.2, received: .*flow sequence(.|\n)*line 1"),
        ("a:\n\tb: 1", "expected valid YAML 1.2, received: (.|\n)*line 2"),
        (TEXT + "\n---\na: 1\n", "expected valid YAML 1.2, received: expected a single document"),
        (
            TEXT.replace("noise: 1.0", "noise: !!python/name:os.system 1"),
            f"received !!python/name:os.system in line {NOISE}",
        ),
        (
            TEXT.replace("  name: platform", "  name: platform\n  name: other"),
            'found duplicate key "name"',
        ),
        (TEXT.replace("noise: 1.0", "noise: yes"), "task.noise: expected .* received 'yes'"),
        (TEXT.replace("noise: 1.0", "noise: on"), "task.noise: expected .* received 'on'"),
        (TEXT.replace("noise: 1.0", "noise: 1:30"), "task.noise: expected .* received '1:30'"),
        (TEXT.replace("gamma: 0.9", "gamma: .nan"), "learner.gamma: expected a finite number"),
    ],
)
def test_a_file_that_is_none(tmp_path, text, said) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    received = message_of(path)
    assert received.startswith(str(path))
    assert re.search(said, received), received
    assert "http" not in received


def test_a_missing_file_and_a_folder(tmp_path) -> None:
    assert message_of(tmp_path / "no.yaml") == (
        f"{tmp_path / 'no.yaml'}: expected a settings file in {Path.cwd()}, received none; "
        "`pamdp init` starts a study in a folder"
    )
    assert "expected a settings file, received Is a directory" in message_of(tmp_path)


def test_a_file_that_is_not_text(tmp_path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\x80\x81\x00")
    assert "expected valid YAML 1.2" in message_of(tmp_path / "a.yaml")


def test_numbers_are_those_of_yaml_1_2(tmp_path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("learning_rate: 1.0e-3", "learning_rate: 1e-3"))
    assert load(path).cells[0].learner.q.learning_rate == 1e-3


def test_reading_settings_needs_no_tensorflow() -> None:
    program = (
        "import sys; from pathlib import Path; from pamdp.schema import schema;"
        "from pamdp.settings import load;"
        f"s = load(Path({str(PARAMS)!r})); s.cells[0].flattened(); schema();"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'optuna', 'matplotlib'} & set(sys.modules);"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr

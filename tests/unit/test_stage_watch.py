"""Which policy is watched, and where: trained cells, runs under way, exported models."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamdp import checkpoint, export, films
from pamdp.base.errors import PamdpError
from pamdp.base.lazy import tf
from pamdp.checkout import Checkout
from pamdp.envs.platform import Platform
from pamdp.files import write_json
from pamdp.films import Frame
from pamdp.learning.loops import loop_of
from pamdp.learning.training import Checkpoint
from pamdp.stages import results
from pamdp.stages import watch as module
from pamdp.stages.watch import Wanted, watch
from pamdp.watching import Played, player_of
from tests.helpers import SMALL, settings

CELL, OTHER = "platform-mpdqn-inverting", "platform-mpdqn-plain"
OBSERVATION = np.array([0.3, 0.1, 0.5, 0.2, 0.4, 0.1, 0.2, 0.3, 0.0], np.float32)


@cache
def small() -> Any:
    return settings(
        **{f"environments__platform__learner__{k.replace('.', '__')}": v for k, v in SMALL.items()},
    )


def wanted(source: str = CELL, **changes: Any) -> Wanted:
    return Wanted(source, None, None, 1, Path("x.gif"))._replace(**changes)


@cache
def weights(seed: int) -> Any:
    loop = loop_of(small().cell(CELL))
    return tf.nest.map_structure(np.asarray, loop.weights(loop.initial(seed)))


def recorded(folder: Path) -> None:
    """The record of a training with these settings."""
    values = small()
    training = values.environments["platform"].training
    results.record(values.cell(CELL), "train", "a", training=training).write(folder / "record.json")


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A checkout in which both cells are tuned."""
    for name in (CELL, OTHER):
        write_json(tmp_path / "metrics/tune" / name / "best.json", {"values": {}})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(root) -> Path:
    """The same, with a trained cell of three seeds; the second is the best."""
    path = root / "metrics/train" / CELL / "weights.npz"
    checkpoint.save_weights(path, {seed: weights(seed) for seed in (1, 2, 3)})
    recorded(path.parent)
    per_seed = [{"seed": s, "mean": mean} for s, mean in ((1, 0.1), (2, 0.9), (3, 0.5))]
    summary = {CELL: {"return": {"mean": 0.5}, "per_seed": per_seed}}
    write_json(root / "metrics/evaluate/summary.json", summary)
    return root


def saved(root: Path, seed: int, steps: int, mark: str = "a", age: float = 0.0) -> Path:
    """A checkpoint of a run under way."""
    loop, path = loop_of(small().cell(CELL)), root / f".work/train/{CELL}/{mark}/seed-{seed}.npz"
    state = loop.initial(seed)
    state = state._replace(learner=state.learner._replace(step=tf.constant(steps)))
    arrays = [np.asarray(leaf) for leaf in tf.nest.flatten(state)]
    checkpoint.save(path, Checkpoint(arrays, []))
    recorded(path.parent)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


class Show:
    """Stands for playing and showing: what was to be played."""

    def __init__(self, monkeypatch) -> None:
        self.told: list[str] = []
        self.played = Played(1.25, 7, None)
        monkeypatch.setattr(module, "frames", self.frames)
        monkeypatch.setattr(films, "output", self.output)

    def frames(self, task: Any, player: Any, seed: int, episodes: int, ended: Any) -> Any:
        self.task, self.player, self.seed, self.episodes = task, player, seed, episodes
        for _ in range(episodes):
            ended(self.played)
            yield Frame(np.zeros([4, 6, 3], np.uint8), 0.1)

    def output(self, file: Path | None, title: str) -> Any:
        if file is None:
            raise PamdpError("no screen")
        self.title = title
        return lambda frames: file.write_bytes(1500 * len(list(frames)) * b"x")

    def watch(self, request: Wanted, values: Any = None) -> Show:
        watch(Checkout(values or small(), Path.cwd()), request, self.told.append)
        return self

    def acts_as(self, seed: int) -> bool:
        """Whether the player has the weights that a seed started with."""
        expected = player_of(small().cell(CELL), weights(seed))
        (action, parameters), (known, values) = (
            p.act(OBSERVATION) for p in (self.player, expected)
        )
        return action == known and np.allclose(parameters, values, rtol=1e-5)


@pytest.fixture
def show(monkeypatch) -> Show:
    return Show(monkeypatch)


# -- Trained cells ---------------------------------------------------------------------------------


def test_of_a_trained_cell_it_is_the_best_seed(trained, show):
    show.watch(wanted())
    assert show.acts_as(2)
    assert not show.acts_as(1)
    assert show.seed == 2
    assert show.task == small().environments["platform"].task
    assert show.title == f"pamdp: {CELL}"
    assert show.told == [
        f"{CELL}, seed 2, trained",
        "episode 1: return 1.2500, 7 actions",
        "x.gif (2 kB)",
    ]


def test_a_seed_may_be_chosen(trained, show):
    assert show.watch(wanted(seed=3)).acts_as(3)
    assert show.seed == 3


def test_before_evaluation_it_is_the_first_seed(trained, show):
    (trained / "metrics/evaluate/summary.json").unlink()
    assert show.watch(wanted()).acts_as(1)


def test_a_seed_that_was_not_trained_is_refused(trained, show):
    with pytest.raises(PamdpError, match=rf"one of 1, 2, 3, .*{CELL}.*, received 9"):
        show.watch(wanted(seed=9))


def test_tuned_values_count(trained, show):
    # Nothing that a greedy policy depends on is tuned, so that a wrong path shows it.
    write_json(trained / "metrics/tune" / CELL / "best.json", {"values": {"learner.gama": 0.5}})
    with pytest.raises(PamdpError, match=r"did you mean 'learner\.gamma'"):
        show.watch(wanted())


def test_each_episode_is_told_with_its_success(trained, show):
    for success, text in ((True, ", success"), (False, ", no success"), (np.True_, ", success")):
        show.told.clear()
        show.played = Played(-2.0, 30, success)
        show.watch(wanted(episodes=2))
        assert show.told[1:-1] == [
            f"episode {number}: return -2.0000, 30 actions{text}" for number in (1, 2)
        ]


def with_other(**changes: Any) -> Any:
    """The settings as they are now, when a training was with those of `small`."""
    learner = {f"learner.{path}": value for path, value in SMALL.items()}
    block = learner | {path.replace("__", "."): value for path, value in changes.items()}
    return settings(**{f"environments.platform.{path}": value for path, value in block.items()})


@pytest.mark.parametrize("source", ["trained", "checkpoint"])
def test_what_was_trained_with_other_settings_is_told(root, show, request, source):
    if source == "trained":
        request.getfixturevalue("trained")
    else:
        saved(root, 2, 6_000)
    show.watch(wanted(), with_other(learner__gamma=0.95, training__steps=777))
    before = small().environments["platform"]
    assert show.told[1] == (
        "trained with other settings than params.yaml has now: learner.gamma "
        f"{before.learner.gamma}, now 0.95; training.steps {before.training.steps}, now 777"
    )
    assert show.acts_as(2)
    show.told.clear()
    assert "settings" not in "".join(show.watch(wanted()).told)


def test_values_that_were_found_since_are_other_settings_too(trained, show):
    write_json(trained / "metrics/tune" / CELL / "best.json", {"values": {"learner.gamma": 0.5}})
    assert show.watch(wanted()).told[1].endswith(", now 0.5")


def test_many_other_settings_are_counted(trained, show):
    rates = {f"learner__{net}__tau": 0.5 for net in ("q", "parameters")}
    rates |= {f"learner__{name}": 0.5 for name in ("gamma", "reward_scale", "gradient_clip")}
    other = with_other(task__noise=0.1, training__steps=777, **rates)
    told = show.watch(wanted(), other).told[1]
    assert told.startswith("trained with other settings than params.yaml has now: learner.gamma 0.")
    assert told.count(", now ") == 5
    assert told.endswith("; and 2 more")


def test_without_its_record_the_settings_are_not_known(trained, show):
    (trained / "metrics/train" / CELL / "record.json").unlink()
    told = show.watch(wanted()).told
    assert told[1] == "trained with settings that are not known, as its record is missing"


# -- Runs under way --------------------------------------------------------------------------------


def test_of_a_cell_in_training_it_is_the_newest_checkpoint(root, show):
    saved(root, 1, 2_000, age=10)
    saved(root, 2, 12_000, "b")
    saved(root, 3, 9_000, age=20)
    show.watch(wanted())
    assert show.told[0] == f"{CELL}, seed 2, after 12,000 steps"
    assert show.acts_as(2)
    assert show.seed == 2


def test_a_seed_of_a_run_under_way_may_be_chosen(root, show):
    saved(root, 1, 2_000, age=10)
    saved(root, 2, 12_000)
    assert show.watch(wanted(seed=1)).acts_as(1)


def test_a_checkpoint_may_be_named(trained, show):
    path = saved(trained, 4, 6_000)
    show.watch(wanted(str(path.relative_to(trained))))
    assert show.told[0] == f"{CELL}, seed 4, after 6,000 steps"
    assert show.acts_as(4)


def test_a_trained_cell_goes_before_a_run_that_was_left(trained, show):
    saved(trained, 4, 6_000)
    assert show.watch(wanted()).told[0] == f"{CELL}, seed 2, trained"


@pytest.mark.parametrize("content", [b"", b"PK damaged"])
def test_a_checkpoint_that_is_not_whole_is_refused(root, show, content):
    saved(root, 1, 2_000).write_bytes(content)
    with pytest.raises(PamdpError, match=f"expected a checkpoint of {CELL} .* params.yaml changed"):
        show.watch(wanted())


def test_a_file_that_is_no_checkpoint_is_refused(trained, show):
    with pytest.raises(PamdpError, match=r"CELL/MARK/seed-N\.npz, received .*weights\.npz"):
        show.watch(wanted(f"metrics/train/{CELL}/weights.npz"))


def test_a_cell_that_is_not_trained_is_refused(root, show):
    with pytest.raises(
        PamdpError, match=f"{OTHER}: expected a cell that is trained or .*pamdp study"
    ):
        show.watch(wanted(OTHER))


def test_an_unknown_cell_is_refused_before_a_missing_screen(root, show):
    with pytest.raises(PamdpError, match=f"received '{CELL}x'; did you mean '{CELL}'"):
        show.watch(wanted(f"{CELL}x", file=None))
    with pytest.raises(PamdpError, match="expected a cell that is trained"):
        show.watch(wanted(file=None))


def test_an_unknown_cell_is_refused(root, show):
    with pytest.raises(PamdpError, match=f"received '{CELL}x'; did you mean '{CELL}'"):
        show.watch(wanted(f"{CELL}x"))


# -- Exported models -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / CELL
    export.save(small().cell(CELL), weights(5), folder)
    return folder


def test_a_model_plays_the_environment_that_its_folder_is_named_after(root, show, exported):
    show.watch(wanted(str(exported)))
    assert show.acts_as(5)
    assert show.task == small().environments["platform"].task
    assert show.seed == 0
    assert show.told[0] == f"the model {exported}"
    assert show.watch(wanted(str(exported), seed=8)).seed == 8


# -- Environments ----------------------------------------------------------------------------------


def test_another_environment_of_the_settings(trained, show):
    values = small()
    calm = values.environments["platform"].model_copy(
        update={"task": values.environments["platform"].task.model_copy(update={"noise": 0.0})}
    )
    values = values.model_copy(update={"environments": {**values.environments, "calm": calm}})
    assert show.watch(wanted(environment="calm"), values).task.noise == 0.0


def test_an_environment_of_gymnasium(trained, show):
    show.watch(wanted(environment="pamdp/SparsePlatform-v0"))
    assert (show.task.kind, show.task.id) == ("gymnasium", "pamdp/SparsePlatform-v0")


def test_an_environment_of_which_nothing_was_measured_has_what_training_met_with(root):
    """So float32 tells apart what it did in training."""
    trained_in = {"kind": "gymnasium", "id": "pamdp/SparsePlatform-v0"}
    values = settings(environments__platform__task=trained_in)
    path = root / "metrics/setup/environments/platform.json"
    path.unlink(missing_ok=True)
    assert module._task(Checkout(values, root), "pamdp/Platform-v0", "platform").seen is None
    seen = {"low": [0.0] * 9, "high": [1.7e9, *[1.0] * 8]}
    random = {"return_mean": 0.0, "return_std": 0.0, "episodes": 1}
    write_json(path, {"seen": seen, "random_policy": random})
    task = module._task(Checkout(values, root), "pamdp/Platform-v0", "platform")
    assert json.loads(task.seen) == seen
    # Another number of features, or a policy from elsewhere, tells nothing.
    for name, origin in (("pamdp/CatchPoint-v0", "platform"), ("pamdp/Platform-v0", "elsewhere")):
        assert module._task(Checkout(values, root), name, origin).seen is None


@pytest.mark.parametrize("name", ["platfrom", "nowhere:Platfrom-v0"])
def test_an_unknown_environment_is_refused(trained, show, name):
    message = (
        rf"environment: expected one of .*platform.* such as pamdp/Platform-v0, received '{name}'"
    )
    with pytest.raises(PamdpError, match=message):
        show.watch(wanted(environment=name))


def test_a_policy_for_another_environment_is_refused(trained, tmp_path):
    class Small(Platform):
        observation_low = np.zeros(2, np.float32)

    values = small()
    task = Small(**values.environments["platform"].task.model_dump())
    other = values.environments["platform"].model_copy(update={"task": task})
    values = values.model_copy(update={"environments": {**values.environments, "other": other}})
    told: list[str] = []
    with pytest.raises(PamdpError, match=r"expected 9 features, .* received 2 features"):
        watch(Checkout(values, trained), wanted(environment="other"), told.append)
    assert not (tmp_path / "x.gif").exists()


def test_less_than_an_episode_is_refused(trained, show):
    with pytest.raises(PamdpError, match="episodes: expected at least 1, received 0"):
        show.watch(wanted(episodes=0))

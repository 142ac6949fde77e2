"""Episodes on the host: each seed's own, however many are played side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import gymnasium
import numpy as np
import pytest

from pamdp.base import seeding
from pamdp.base.environment import Outcome, Versioned
from pamdp.base.lazy import tf
from pamdp.base.spaces import Action, ActionSpec
from pamdp.bridge.adapter import FunctionalEnv
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.envs import ENVIRONMENTS
from pamdp.evaluation import MEASURES
from pamdp.learning import playing
from pamdp.learning.loop import Decide
from pamdp.learning.rollout import Command, Episodes
from tests.helpers import SPEC

DICE = Gymnasium(kind="gymnasium", id="tests.user_environment:Dice-v0")
SEEDS = list(range(40))


def paying(observations: np.ndarray) -> Command:
    """Earns the drawn length plus a tenth of the steps so far: no two states are the same."""
    assert observations.dtype == np.float32
    value = observations[:, :1] + observations[:, 1:] / 10
    scaled = np.where(observations[:, 1:] == 0, 1.5, np.where(observations[:, 1:] == 1, -0.99, 0.5))
    return Command(np.zeros(len(value), int), value, scaled)


def play(num_copies: int, seeds: list[int] = SEEDS, decide: Decide = paying) -> Episodes:
    copies = [DICE.make() for _ in range(num_copies)]
    return playing.play(copies, DICE.actions, decide, seeds, MEASURES)


def drawn_lengths() -> np.ndarray:
    made = DICE.make()
    return np.array([made.reset(seed=seed)[0][0] for seed in SEEDS])


def test_results_by_hand() -> None:
    played, lengths = play(1), drawn_lengths()
    assert set(lengths) == {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(played.lengths, lengths)
    # The sum of length + t/10 over t = 0 ... length - 1.
    np.testing.assert_allclose(played.returns, lengths**2 + lengths * (lengths - 1) / 20, rtol=1e-6)
    # Its steps 2 and 3 are successes, which is one of an episode that has them, whatever its end.
    np.testing.assert_array_equal(played.successes, lengths >= 2)
    # The first step is out of bounds, the second near one.
    first, second = len(lengths), int(np.sum(lengths >= 2))
    assert played.means["clipped_share"] == pytest.approx(first / lengths.sum())
    assert played.means["near_bound_share"] == pytest.approx((first + second) / lengths.sum())
    assert all(field.dtype == np.float32 for field in played[:3])


@pytest.mark.parametrize("num_copies", [2, 3, 7, 64])
def test_results_do_not_depend_on_the_copies(num_copies) -> None:
    for one, other in zip(*map(tf.nest.flatten, (play(1), play(num_copies))), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_episode_depends_on_its_seed_alone() -> None:
    mixed = [7, 3, 3, 20]
    played, other = play(3), play(2, mixed)
    np.testing.assert_array_equal(other.returns, played.returns[mixed])
    np.testing.assert_array_equal(other.lengths, played.lengths[mixed])


def test_decisions_are_made_for_all_copies_at_once() -> None:
    shapes = []

    def decide(observations: np.ndarray) -> Command:
        shapes.append(observations.shape)
        return paying(observations)

    lengths = play(4, decide=decide).lengths
    # Always the same shape, also while the last episodes are played, and hardly ever in vain.
    assert set(shapes) == {(4, 2)}
    assert lengths.sum() / 4 <= len(shapes) < lengths.sum() / 4 + 5
    shapes.clear()
    assert len(play(1, decide=decide).returns) == 40
    assert len(shapes) == lengths.sum()


def test_more_copies_than_episodes() -> None:
    played = play(5, [1, 2])
    np.testing.assert_array_equal(played.returns, play(1).returns[[1, 2]])


class Drift(Versioned):
    """Drifts from a random start, and pays where it is; nothing ends it but time."""

    kind: Literal["drift"] = "drift"
    version: Literal["v0"] = "v0"
    actions: ClassVar[ActionSpec] = ActionSpec((Action("go", (0.0,), (1.0,)),))
    observation_low: ClassVar[np.ndarray] = np.float32([0])
    observation_high: ClassVar[np.ndarray] = np.float32([9])
    time_limit: ClassVar[int] = 4

    def initial(self, key: tf.Tensor, batch: int) -> tf.Tensor:
        return seeding.uniform(key, (batch,))

    def observation(self, state: tf.Tensor) -> tf.Tensor:
        return state[:, None]

    def transition(
        self, state: tf.Tensor, action: tf.Tensor, parameters: tf.Tensor, key: tf.Tensor
    ) -> Outcome:
        state += parameters[:, 0] + 0.1 * seeding.uniform(key, (1,))
        return Outcome(state, state, state > 100, state > 100)

    def picture(self, state: tf.Tensor, caption: str = "") -> np.ndarray:
        return np.zeros([2, 2, 3], np.uint8)


@pytest.fixture
def drift(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drift]:
    """Registered as ours are."""
    task = Drift()
    monkeypatch.setitem(ENVIRONMENTS, task.kind, Drift)
    gymnasium.register(
        task.gymnasium_id,
        "pamdp.bridge.adapter:RegisteredEnv",
        max_episode_steps=task.time_limit,
        kwargs=task.model_dump(),
    )
    yield task
    del gymnasium.registry[task.gymnasium_id]


def test_functional_environments_end_at_their_time_limit(drift: Drift) -> None:
    task, made = drift, drift.make("rgb_array")
    assert isinstance(made.unwrapped, FunctionalEnv)
    assert made.render_mode == "rgb_array"

    def half(observations: np.ndarray) -> Command:
        number = len(observations)
        return Command(np.zeros(number, int), np.full([number, 1], 0.5), np.zeros([number, 1]))

    copies = [task.make() for _ in range(3)]
    one, other = (playing.play(copies[:n], task.actions, half, SEEDS) for n in (1, 3))
    assert one.means == other.means == {}  # nothing was to be measured
    for a, b in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.lengths, np.full(40, 4))
    assert len(set(one.returns.tolist())) == 40
    assert ((one.returns > 5) & (one.returns < 5 + 4 + 1)).all()  # 0.5 + 1 + 1.5 + 2 and noise


def test_an_action_without_a_parameter() -> None:
    reach = Gymnasium(kind="gymnasium", id="tests.user_environment:Reach-v0")

    def stop(observations: np.ndarray) -> Command:
        number = len(observations)
        return Command(np.ones(number, int), np.full([number, 1], 9.0), np.zeros([number, 1]))

    played = playing.play([reach.make()], reach.actions, stop, SEEDS)
    np.testing.assert_array_equal(played.lengths, np.ones(40))
    np.testing.assert_array_equal(played.returns, 2 * played.successes - 1)
    assert 0 < played.successes.mean() < 0.6


# -- Seeds -----------------------------------------------------------------------------------------


def test_episode_seeds() -> None:
    seeds = playing.episode_seeds(1, 7, 1000)
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    assert len(set(seeds)) == 1000
    assert playing.episode_seeds(1, 7, 10) == seeds[:10]
    assert not set(seeds) & set(playing.episode_seeds(1, 8, 1000)[:500])
    assert playing.episode_seeds(2, 7, 10) != seeds[:10]
    # The same in every version, on every machine.
    expected = np.random.SeedSequence([1, 7]).generate_state(2)
    assert seeds[:2] == [int(word) // 2 for word in expected]


# -- Random decisions ------------------------------------------------------------------------------


def test_random_decisions_are_uniform() -> None:
    command = playing.random_decisions(SPEC, 3)(np.zeros([20_000, 3], np.float32))
    shares = np.bincount(command.action, minlength=4) / 20_000
    np.testing.assert_allclose(shares, 0.25, atol=0.02)
    assert command.scaled.shape == (20_000, SPEC.num_parameters)
    np.testing.assert_allclose(command.scaled.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(command.scaled.std(axis=0), 3**-0.5, atol=0.02)


def test_random_decisions_send_their_own_parameters() -> None:
    spec = ActionSpec((Action("a", (0.0, -4.0), (2.0, 4.0)), Action("b", (), ()), SPEC.actions[3]))
    command = playing.random_decisions(spec, 3)(np.zeros([50, 3], np.float32))
    assert set(command.action.tolist()) == {0, 1, 2}
    for action, parameters, scaled in zip(*command, strict=True):
        expected = {
            0: [scaled[0] + 1, 4 * scaled[1]],
            1: [0, 0],
            2: [1.25 * scaled[2] - 0.75, 0],
        }[int(action)]
        np.testing.assert_allclose(parameters, expected, atol=1e-6)


def test_random_decisions_are_those_of_their_seed() -> None:
    observations = np.zeros([5, 3], np.float32)
    first, again, other = (playing.random_decisions(SPEC, seed) for seed in (1, 1, 2))
    for _ in range(3):
        one = first(observations)
        np.testing.assert_array_equal(one.scaled, again(observations).scaled)
        assert (one.scaled != other(observations).scaled).any()

"""Many copies of a functional environment as one vector environment of Gymnasium."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pamdp.base.calls import Programs
from pamdp.base.environment import Environment
from pamdp.base.lazy import tf
from pamdp.bridge.actions import parsed_all
from pamdp.bridge.adapter import METADATA, SEEDS, check_render_mode, drawn
from pamdp.bridge.copies import ManyPrograms
from pamdp.envs import ENVIRONMENTS


class FunctionalVectorEnv(VectorEnv[np.ndarray, Any, np.ndarray]):
    """N copies of a functional environment, with one compiled call for a step of all of them.

    Copy i is bit for bit what `gymnasium.make` makes, seeded with `seed + i`, and all is told as
    Gymnasium's `SyncVectorEnv` tells it. Actions are elements of `action_space`: the indices [N]
    and, for each action, the parameters [N, m_k] that copies which take it use.

    Args:
      environment: the functional form.
      num_envs: N.
      max_episode_steps: the time limit in actions; None or -1 for none.
      autoreset_mode: when a copy that has ended is reset: by the next step, which then takes no
        action in it (the default), in the same step, or by `reset` with a mask.
      render_mode: `rgb_array` or None.
    """

    metadata: dict[str, Any] = METADATA

    def __init__(
        self,
        environment: Environment,
        num_envs: int,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        check_render_mode(render_mode)
        if num_envs < 1:
            raise ValueError(f"num_envs: expected at least 1, received {num_envs}")
        self.environment, self.num_envs, self.render_mode = environment, num_envs, render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**METADATA, "autoreset_mode": self.autoreset_mode}
        self.single_action_space = environment.actions.space()
        self.single_observation_space = gymnasium.spaces.Box(
            environment.observation_low, environment.observation_high, dtype=np.float32
        )
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._limit = _limit(max_episode_steps)
        self._values = Programs.inputs(environment)
        self._programs = ManyPrograms.of(environment)
        self._seeds = np.full(num_envs, -1)  # below 0: none yet
        self._counts = np.zeros(num_envs, int)  # transitions since seeding
        self._repeats = np.zeros(num_envs, int)  # resets since the last transition
        self._elapsed = np.zeros(num_envs, int)  # actions in this episode
        self._over = np.zeros(num_envs, bool)
        self._taken = np.full(num_envs, -1)  # the last action; below 0 after a reset
        self._parameters = np.zeros([num_envs, environment.actions.max_size], np.float32)
        self._observations, self._states = self._empty()

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode in each copy.

        Args:
          seed: copy i gets `seed + i`, or the i-th of a sequence; those without go on with their
            random numbers.
          options: `reset_mask`, [N] bool, resets some copies only.

        Returns:
          The observations [N, S] float32, those of copies that go on too, and an empty dictionary.
        """
        mask = self._masked(options)
        seeds = self._wanted(seed)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        fresh = mask & ((seeds >= 0) | (self._seeds < 0))
        if (seeds[fresh] < 0).any():
            chance = self.np_random.integers(SEEDS, size=self.num_envs)
            seeds = np.where(seeds < 0, chance, seeds)
        self._seeds[fresh] = seeds[fresh]
        self._counts[fresh] = self._repeats[fresh] = 0
        numbers = np.stack([self._seeds, self._counts, self._repeats], axis=1).astype(np.int32)
        observations, *self._states = self._programs.reset_some(
            self._values, mask, numbers, self._observations, *self._states
        )
        self._repeats[mask] += 1
        self._elapsed[mask], self._over[mask], self._taken[mask] = 0, False, -1
        self._observations = observations.numpy()
        return self._observations.copy(), {}

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Carries out an action in each copy.

        Args:
          actions: an element of `action_space`.

        Returns:
          Observations [N, S] float32, rewards [N] float64, and [N] bool each, which tasks have
          ended and which were cut off; `info["success"]` [N] with its mask `_success`. With
          same-step resets `final_obs` and `final_info` tell of episodes that have ended.

        Raises:
          ValueError: the actions have not the form of the action space.
          gymnasium.error.ResetNeeded: an episode has ended, and is to be reset by hand, or none has
            begun.
        """
        by_hand = self.autoreset_mode is AutoresetMode.DISABLED
        if (self._seeds < 0).any() or (by_hand and self._over.any()):
            raise gymnasium.error.ResetNeeded(
                "step: expected running episodes, but some have ended or have not been started; "
                "call reset first"
            )
        index, parameters = parsed_all(self.environment.actions, actions, self.num_envs)
        given = np.empty([self.num_envs, 3 + parameters.shape[1]], np.float32)
        whole = np.stack([self._seeds, self._counts, index], axis=1).astype(np.int32)
        given[:, :3], given[:, 3:] = whole.view(np.float32), parameters
        self._taken, self._parameters = index, parameters
        late = self._elapsed + 1 >= self._limit
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            return self._stepped_and_reset(given, late)
        return self._stepped(given, late)

    def _stepped(self, given: np.ndarray, late: np.ndarray) -> tuple:
        """A step, or a reset of what has ended before it."""
        begin, live = self._over, ~self._over
        facts, observations, *self._states = self._programs.next_step(
            self._values, begin, given, *self._states
        )
        rewards, terminated, success = facts.numpy().T
        terminated, truncated = terminated > 0, late & live
        self._counts += live
        self._repeats = begin.astype(int)
        self._elapsed = np.where(begin, 0, self._elapsed + 1)
        self._taken[begin] = -1
        self._over = terminated | truncated
        self._observations = observations.numpy()
        info = _told(success > 0, live)
        return self._observations.copy(), rewards.astype(float), terminated, truncated, info

    def _stepped_and_reset(self, given: np.ndarray, late: np.ndarray) -> tuple:
        """A step, and then a reset of what it has ended."""
        facts, finals, observations, *self._states = self._programs.same_step(
            self._values, late, given, *self._states
        )
        rewards, terminated, success = facts.numpy().T
        terminated, info = terminated > 0, {}
        ended = terminated | late
        if ended.any():
            finals, final_obs = finals.numpy(), np.full(self.num_envs, None, object)
            for copy in np.flatnonzero(ended):
                final_obs[copy] = finals[copy]
            info = {"final_obs": final_obs, "_final_obs": ended.copy()}
            info |= {"final_info": _told(success > 0, ended), "_final_info": ended.copy()}
        self._counts += 1
        self._repeats = ended.astype(int)
        self._elapsed = np.where(ended, 0, self._elapsed + 1)
        self._taken = np.where(ended, -1, self._taken)
        self._observations = observations.numpy()
        info |= _told(success > 0, ~ended)
        return self._observations.copy(), rewards.astype(float), terminated, late, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The picture of each copy's state, as `FunctionalEnv.render` gives it."""
        if self.render_mode is None:
            return None
        if (self._seeds < 0).any():
            raise gymnasium.error.ResetNeeded("render: no episode has begun; call reset first")
        leaves = [np.asarray(leaf) for leaf in self._states]
        return tuple(self._picture(copy, leaves) for copy in range(self.num_envs))

    def _picture(self, copy: int, leaves: list[np.ndarray]) -> np.ndarray:
        state = tf.nest.pack_sequence_as(self._programs.state, [leaf[copy] for leaf in leaves])
        index, last = int(self._taken[copy]), None
        if index >= 0:
            own = self._parameters[copy, : self.environment.actions.sizes[index]]
            last = index, own
        return drawn(self.environment, state, last)

    def _empty(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Observations and states before the first episode."""
        observation, state = self._programs.reset.like
        rows = [
            np.zeros([self.num_envs, *leaf.shape], leaf.dtype.as_numpy_dtype)
            for leaf in (observation, *tf.nest.flatten(state))
        ]
        return rows[0], rows[1:]

    def _masked(self, options: dict[str, Any] | None) -> np.ndarray:
        """[N] bool: which copies are to be reset."""
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, bool)
        shape = (self.num_envs,)
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != shape:
            raise ValueError(
                f"options['reset_mask']: expected an array {shape} of bool, received {mask!r}"
            )
        if not mask.any():
            raise ValueError("options['reset_mask']: expected a copy to reset, received none")
        return mask

    def _wanted(self, seed: Any) -> np.ndarray:
        """[N] seeds of the copies; below 0 for those that get none."""
        if seed is None:
            return np.full(self.num_envs, -1)
        if isinstance(seed, Sequence | np.ndarray) and np.ndim(seed):
            seeds = [-1 if given is None else _seed(given) for given in seed]
        else:
            seeds = [_seed(seed) + copy for copy in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"seed: expected one number or {self.num_envs}, one for each copy, received "
                f"{len(seeds)}"
            )
        return np.array([given if given < 0 else given % SEEDS for given in seeds])


class RegisteredVectorEnv(FunctionalVectorEnv):
    """What `gymnasium.make_vec` makes with `vectorization_mode="vector_entry_point"`.

    Args:
      kind: a key of `ENVIRONMENTS`.
      num_envs: N.
      max_episode_steps: the registered time limit, or another one.
      autoreset_mode: see `FunctionalVectorEnv`.
      render_mode: `rgb_array` or None.
      settings: settings of that environment.
    """

    def __init__(
        self,
        kind: str,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        environment = ENVIRONMENTS[kind](kind=kind, **settings)
        super().__init__(environment, num_envs, max_episode_steps, autoreset_mode, render_mode)


def _limit(given: Any) -> float:
    """A time limit; infinite for none."""
    if given is None or given == -1:
        return np.inf
    if not isinstance(given, int | np.integer) or given < 1:
        raise ValueError(
            "max_episode_steps: expected a whole number from 1 on, or None or -1 for none, "
            f"received {given!r}"
        )
    return int(given)


def _seed(given: Any) -> int:
    try:
        seed = operator.index(given)
    except TypeError:
        seed = -1
    if seed < 0:
        raise gymnasium.error.Error(f"seed: expected whole numbers from 0 on, received {given!r}")
    return seed


def _told(success: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """What is told of the copies in a mask, in Gymnasium's form; nothing if there are none."""
    return {"success": success & mask, "_success": mask.copy()} if mask.any() else {}

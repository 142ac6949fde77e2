"""Environments as a stranger writes them: a module that knows nothing of this package.

`Reach` is a task to learn; the others have every kind of space and every kind of fault.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

SIZE = 48  # of pictures, in pixels


class Reach(gymnasium.Env):
    """A point on [-1, 1] is moved to a target and stopped there.

    Action 0 moves by a parameter, and pays by how much nearer that is; action 1 stops, which ends
    the episode and pays 1 within `width` of the target, its success, and -1 elsewhere. The target
    is observed in a unit of its own that nothing bounds.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(
        self, width: float = 0.25, longest: float = 1.0, render_mode: str | None = None
    ) -> None:
        self.width = width
        self.render_mode = render_mode
        self.action_space = Tuple(
            (Discrete(2), Tuple((Box(-longest, longest, (1,)), Box(0, 1, (0,)))))
        )
        self.observation_space = Box(np.float32([-1, -np.inf]), np.float32([1, np.inf]))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.target = self.np_random.uniform(-1, 1, 2)
        return self._observation(), {}

    def step(self, action):
        assert action in self.action_space
        kind, (move, _) = action
        before = abs(self.position - self.target)
        if kind == 1:
            success = bool(before < self.width)
            return self._observation(), 1.0 if success else -1.0, True, False, {"success": success}
        self.position = float(np.clip(self.position + move[0], -1, 1))
        nearer = before - abs(self.position - self.target)
        return self._observation(), nearer, False, False, {"success": False}

    def render(self):
        picture = np.full([SIZE, SIZE, 3], 255, np.uint8)
        for place, colour in ((self.target, (200, 30, 30)), (self.position, (30, 60, 200))):
            column = round((place + 1) / 2 * (SIZE - 5))
            picture[20:28, column : column + 5] = colour
        return picture

    def _observation(self):
        return np.float32([self.position, 300 + 100 * self.target])


UNIT = Box(-1, 1, (2,))
ACTIONS = {
    "each in a tuple": Tuple((Discrete(3), Tuple((UNIT, Box(0, 1, (0,)), Box(2, 8, (1,)))))),
    "each its own": Tuple((Discrete(2), Tuple((UNIT, Box(0, 1, (2, 2), np.float64))))),
    "one for all": Tuple((Discrete(3, start=5), Box(0, 10, ()))),
    "one action": Tuple((Discrete(1), UNIT)),
    "dict with one for all": Dict(kind=Discrete(2), size=UNIT),
    "sorted dict": Dict({"walk": UNIT, "kind": Discrete(2), "jump": Box(0, 5, (1,))}),
    "dict of boxes": Dict(walk=UNIT, kind=Discrete(2, start=-1), jump=Box(0, 5, (1,))),
    "dict with a tuple": Dict(kind=Discrete(2), size=Tuple((UNIT, Box(0, 5, (1,))))),
    "dict with a dict": Dict(kind=Discrete(2), size=Dict(up=Box(0, 5, (1,)), down=UNIT)),
}
OBSERVATIONS = {
    "box": Box(np.float32([0, -5]), np.float32([1, 5])),
    "picture": Box(0, 255, (2, 3), np.uint8),
    "number": Box(-2, 2, ()),
    "with steps": Tuple((Box(0, 1, (2,)), Discrete(4))),
    "kinds": Dict(
        gear=Discrete(3, start=-1),
        lights=MultiBinary([2, 2]),
        map=Box(0, 255, (1, 2, 1), np.uint8),
        rest=Tuple((MultiDiscrete([3, 2]), Box(-2, 2, (1,)))),
    ),
    "dict": Dict(sight=Box(0, 1, (2, 2)), near=Box(-3, 3, (1,), np.float64)),
    "unbounded": Box(np.float32([0, -np.inf, 0]), np.float32([1, 1, np.inf])),
}


class Spaces(gymnasium.Env):
    """Draws observations from a space and remembers the action that it was sent."""

    def __init__(self, actions: str = "each its own", observations: str = "box") -> None:
        self.action_space = ACTIONS[actions]
        self.observation_space = OBSERVATIONS[observations]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert action in self.action_space, action
        self.received = action
        return self.observation_space.sample(), 1, False, False, {}


class Dice(gymnasium.Env):
    """Episodes whose length is drawn; truncates itself where it draws a five.

    It pays the parameter and counts its second and third step as a success. It observes the length
    and how many steps there were.
    """

    action_space = Tuple((Discrete(1), Box(0, 10, (1,))))
    observation_space = Box(0, 10, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length, self.steps = int(self.np_random.integers(1, 6)), 0
        return np.float32([self.length, 0]), {}

    def step(self, action):
        self.steps += 1
        over, five = self.steps == self.length, self.length == 5
        info = {"is_success": np.bool_(self.steps in (2, 3))}
        observation = np.float32([self.length, self.steps])
        return observation, action[1][0], over and not five, over and five, info


class Wide(gymnasium.Env):
    """A task whose observations have bounds that say nothing: to be learned all the same.

    Action 3 pushes, and pays by how near that is to what a drawn number wants; action 4 does not
    push. Observed are the steps, which exceed their bounds, the drawn number, a few units within
    the bounds of float32, and the time in seconds, of which float32 has every 128th.
    """

    def __init__(self) -> None:
        largest = np.finfo(np.float32).max
        self.action_space = Dict(kind=Discrete(2, start=3), push=Box(-1, 1, (1,)))
        self.observation_space = Box(
            np.float64([0, 0, 0]), np.float64([1, largest, np.inf]), dtype=np.float64
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observation(), {}

    def step(self, action):
        assert action in self.action_space
        pushed = action["push"][0] if action["kind"] == 3 else 0.0
        wanted = self.drawn / 5 - 0.5
        self.steps += 1
        return self._observation(), -float(abs(pushed - wanted)), self.steps == 8, False, {}

    def _observation(self):
        self.drawn, second = float(self.np_random.integers(6)), self.np_random.uniform(-1, 1)
        return np.float64([self.steps / 4, self.drawn, 1.7e9 + second])


class Broken(gymnasium.Env):
    """Fails where it is told to."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_space = Dict(a=Box(0, 1, (2,)))

    def __init__(self, where: str, render_mode: str | None = None) -> None:
        self.where, self.render_mode = where, render_mode
        self._fail("make")
        if where != "spaces":
            self.action_space = ACTIONS["each its own"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=None if self.where == "unseeded" else seed)
        self._fail("reset")
        return {"a": np.zeros(2, np.float32)}, {}

    def step(self, action):
        self._fail("step")
        if self.where == "interrupt":
            raise KeyboardInterrupt
        observations = {
            "key": {"b": np.zeros(2)},
            "shape": {"a": np.zeros(3)},
            "ragged": {"a": [[1], 2]},
            "nan": {"a": np.float32([0, np.nan])},
            "huge": {"a": [0, 1e300]},
        }
        rewards = {"reward": np.nan, "list": [1.0], "none": None, "large": -1e39}
        observation = observations.get(self.where, {"a": np.zeros(2, np.float32)})
        return observation, rewards.get(self.where, 0.0), False, False, {}

    def render(self):
        self._fail("render")
        return np.zeros([4, 4, 3], np.uint8)

    def close(self):
        self._fail("close")

    def _fail(self, where: str) -> None:
        if where == self.where:
            raise LookupError(f"no luck in {where}")
        if self.where == "argument":
            raise TypeError("no luck with an argument")


for entry in (Reach, Spaces, Dice, Wide, Broken):
    gymnasium.register(f"{entry.__name__}-v0", entry, max_episode_steps=8)
gymnasium.register("Endless-v0", Reach)

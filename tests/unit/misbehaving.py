"""Environments that break their word in some way, and some that are merely odd.

`Faulty` behaves like `Good` but for the case it is given; `Late` is given none, and turns to the
case `LATE` after some steps, when setup has accepted it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, Tuple

from pamdp.learning.training import train

LATE = ""  # the case that `Late` turns to
BEGIN = 20  # after so many steps
LENGTH = 6


class Good(gymnasium.Env):
    """A walk from a random start: it pays the place, and succeeds on the right."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}
    action_space = Tuple((Discrete(2), Tuple((Box(-1, 1, (1,)), Box(0, 1, (0,))))))
    observation_space = Box(-10, 10, (2,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        self.place = np.float32(self.np_random.uniform(-0.5, 0.5, 2))
        return self.place.copy(), {}

    def step(self, action) -> Any:
        self.steps += 1
        self.place[action[0]] += np.float32(0.25) * action[1][0][0]
        reward, success = float(self.place[0]), bool(self.place[0] > 0)
        return self.place.copy(), reward, self.steps == LENGTH, False, {"success": success}

    def render(self) -> Any:
        return np.zeros([4, 4, 3], np.uint8)


class Case(NamedTuple):
    """A fault.

    Attributes:
      where: in which method.
      change: what it does to the result of that method, given the environment and the result.
      expected: words of the message, or facts that setup finds instead of those of `Good`.
      late: whether it is tried at training time, too.
    """

    where: str
    change: Callable[[Any, list], Any]
    expected: str | dict[str, Any]
    late: bool = True


class Faulty(Good):
    def __init__(self, case: str = "", render_mode: str | None = None) -> None:
        self.total, self.own = 0, case
        super().__init__(render_mode)
        self._changed("make", [])

    @property
    def case(self) -> Case | None:
        return CASES.get(self.own)

    def reset(self, *, seed=None, options=None) -> Any:
        given = super().reset(seed=seed)
        return self._changed("reset", [*given])

    def step(self, action) -> Any:
        self.total += 1
        return self._changed("step", [*super().step(action)])

    def render(self) -> Any:
        return self._changed("render", [super().render()])[0]

    def close(self) -> None:
        self._changed("close", [])

    def _changed(self, where: str, result: list) -> Any:
        case = self.case
        if case is None or case.where != where:
            return tuple(result)
        return case.change(self, result)


class Late(Faulty):
    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__("", render_mode)

    @property
    def case(self) -> Case | None:
        return CASES[LATE] if LATE and self.total >= BEGIN else None


class NoWordsError(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


class UnportableError(Exception):
    def __init__(self, first: str, second: object) -> None:
        super().__init__(first)
        self.second = threading.Lock()


def returning(place: int, value: Any) -> Callable[[Any, list], tuple]:
    """Gives a value in the place of one of the results."""

    def change(env: Any, result: list) -> tuple:
        given = value(result[place]) if callable(value) else value
        return (*result[:place], given, *result[place + 1 :])

    return change


def raising(error: BaseException) -> Callable[[Any, list], Any]:
    def change(env: Any, result: list) -> Any:
        error.__context__ = None  # of the test before
        raise error.with_traceback(None)

    return change


def doing(function: Callable[[Any], Any]) -> Callable[[Any, list], tuple]:
    """Does something besides."""

    def change(env: Any, result: list) -> tuple:
        function(env)
        return tuple(result)

    return change


def chained(env: Any, result: list) -> Any:
    try:
        {}["inner"]
    except KeyError as error:
        raise ValueError("outer") from error


def recursing(env: Any, result: list) -> Any:
    return recursing(env, result)


def same_array(env: Any, result: list) -> tuple:
    """The same array each time, which the next step changes in place."""
    return (env.place, *result[1:])


def spoiling(env: Any, result: list) -> tuple:
    """Spoils the array that it gave before."""
    if getattr(env, "before", None) is not None:
        env.before[:] = 9
    env.before = result[0]
    return tuple(result)


def other_spaces(env: Any) -> None:
    env.action_space = Discrete(3)
    env.observation_space = Box(0, 1, (5,))


def errors_from_warnings(env: Any) -> None:
    warnings.simplefilter("error")


def much_text(env: Any) -> None:
    print("x" * 10_000)
    sys.stderr.write("y" * 10_000)


def bad_logging(env: Any) -> None:
    logging.raiseExceptions = False
    logging.getLogger("x").error("%d %d", "one")


def warning(env: Any) -> None:
    warnings.warn("of the environment", stacklevel=1)


def ending(env: Any, result: list) -> tuple:
    return (*result[:2], True, False, result[4])


def never_ending(env: Any, result: list) -> tuple:
    return (*result[:2], False, False, result[4])


def cut_off(env: Any, result: list) -> tuple:
    return (*result[:2], False, True, result[4])


def random_of_its_own(env: Any, result: list) -> tuple:
    """A random number that no seed determines."""
    return (result[0], result[1] + float(np.random.default_rng().random()), *result[2:])


def random_at_the_end(env: Any, result: list) -> tuple:
    return random_of_its_own(env, result) if env.steps == LENGTH else tuple(result)


def leftover(env: Any, result: list) -> tuple:
    """Something of the episodes before."""
    return (result[0], result[1] + env.total, *result[2:])


def once_told(env: Any, result: list) -> tuple:
    """Tells of success only when there is one."""
    return (*result[:4], {"is_success": 1} if result[4]["success"] else {})


def kill(number: int) -> Callable[[Any], None]:
    return lambda env: os.kill(os.getpid(), number)


REWARD = "expected a finite number as the reward, received "
FINITE = "expected an observation of finite numbers"
FLAG = "expected True or False as "
INFO = "expected a dictionary as info, received "
PAIR = "expected a pair (observation, info), received "
VALUES = "observation, reward, terminated, truncated, info = "
SEED = "expected an episode to follow from reset(seed=...)"
SAME: dict[str, Any] = {}

CASES = {
    # Observations
    "obs nan": Case("step", returning(0, np.float32([0, np.nan])), FINITE),
    "obs inf": Case("step", returning(0, np.float32([0, np.inf])), FINITE),
    "obs beyond float32": Case("step", returning(0, np.array([0, 1e300])), FINITE),
    "obs none": Case("step", returning(0, None), "received () as observation: None"),
    "obs none inside": Case("step", returning(0, [None, 1.0]), "observation"),
    "obs ragged": Case("step", returning(0, [[1], 2]), "received no array as observation"),
    "obs shape": Case("step", returning(0, np.zeros(3)), "received (3,) as observation"),
    "obs text": Case("step", returning(0, "left"), "received () as observation: left"),
    "obs texts": Case("step", returning(0, ["a", "b"]), "received an array of <U1"),
    "obs dict": Case("step", returning(0, {"a": 1}), "received () as observation: {'a': 1}"),
    "obs object": Case("step", returning(0, object()), "received () as observation: <object"),
    "obs at reset": Case("reset", returning(0, np.float32([np.nan, 0])), FINITE),
    "obs float64": Case("step", returning(0, np.float64), SAME),
    "obs list": Case("step", returning(0, list), SAME),
    "obs float64 at reset": Case("reset", returning(0, np.float64), SAME),
    "obs read-only": Case("step", returning(0, lambda o: o.setflags(write=False) or o), SAME),
    "same array": Case("step", same_array, SAME),
    "spoilt array": Case("step", spoiling, SAME),
    # Rewards
    "reward text": Case("step", returning(1, "1"), REWARD + "'1'"),
    "reward none": Case("step", returning(1, None), REWARD + "None"),
    "reward nan": Case("step", returning(1, np.nan), REWARD + "nan"),
    "reward infinite": Case("step", returning(1, -np.inf), REWARD + "-inf"),
    "reward of several": Case("step", returning(1, np.zeros(2)), REWARD + "array([0., 0.])"),
    "reward list": Case("step", returning(1, [1.0]), REWARD + "[1.0]"),
    "reward empty": Case("step", returning(1, np.zeros(0)), REWARD + "array([]"),
    "reward complex": Case("step", returning(1, 1j), REWARD + "1j"),
    "reward beyond float": Case("step", returning(1, 10**400), REWARD + "1000"),
    "reward object": Case("step", returning(1, object()), REWARD + "<object"),
    "reward huge": Case("step", returning(1, 1e38), "whose sum in an episode is at most 3.4e+38"),
    "reward fraction": Case("step", returning(1, Fraction), SAME),
    "reward decimal": Case("step", returning(1, Decimal), SAME),
    "reward array": Case("step", returning(1, lambda r: np.array([[r]])), SAME),
    "reward scalar": Case("step", returning(1, np.float64), SAME),
    "reward large": Case("step", returning(1, 1e30), {"return_mean": pytest.approx(6e30)}, False),
    # Flags
    "flag text": Case("step", returning(2, "no"), FLAG + "terminated, received 'no'"),
    "flag none": Case("step", returning(3, None), FLAG + "truncated, received None"),
    "flag nan": Case("step", returning(2, np.nan), FLAG + "terminated, received nan"),
    "flag of several": Case("step", returning(3, np.zeros(2)), FLAG + "truncated, received arr"),
    "flag numpy": Case("step", returning(2, np.bool_), SAME),
    "flag number": Case("step", returning(2, int), SAME),
    "flag array": Case("step", returning(3, np.array([False])), SAME),
    # What is told besides
    "info none": Case("step", returning(4, None), INFO + "None"),
    "info list": Case("step", returning(4, []), INFO + "[]"),
    "info none at reset": Case("reset", returning(1, None), INFO + "None"),
    "info changes": Case(
        "step", returning(4, lambda i: i | {"time": time.perf_counter(), "x": object()}), SAME
    ),
    "info huge": Case("step", returning(4, lambda i: i | {"x": "x" * 10**6}), SAME),
    "info cannot be sent": Case("step", returning(4, lambda i: i | {"x": threading.Lock()}), SAME),
    "success text": Case("step", returning(4, {"success": "no"}), "as info['success'], received"),
    "success share": Case("step", returning(4, {"success": 0.5}), FLAG + "info['success']"),
    "success list": Case("step", returning(4, {"is_success": [1]}), FLAG + "info['success']"),
    "success numpy": Case(
        "step", returning(4, lambda i: {"is_success": np.float64(i["success"])}), SAME
    ),
    "success when there is one": Case("step", once_told, SAME),
    "success never": Case("step", returning(4, {}), SAME),
    # The form of what is given
    "step of four": Case("step", lambda env, result: tuple(result[:4]), VALUES),
    "step of six": Case("step", lambda env, result: (*result, 1), VALUES),
    "step of nothing": Case("step", lambda env, result: None, VALUES),
    "step as a list": Case("step", lambda env, result: result, SAME),
    "reset of one": Case("reset", lambda env, result: result[0], PAIR + "array("),
    "reset of nothing": Case("reset", lambda env, result: None, PAIR + "None"),
    "reset of three": Case("reset", lambda env, result: (*result, 1), PAIR + "(array("),
    # Errors of all kinds
    "error": Case("step", raising(LookupError("no luck")), "LookupError: no luck"),
    "error at reset": Case("reset", raising(LookupError("no luck")), "LookupError: no luck"),
    "error chained": Case("step", chained, "KeyError: 'inner'"),
    "error unportable": Case("step", raising(UnportableError("a", 1)), "UnportableError: a"),
    "error without words": Case("step", raising(NoWordsError()), "NoWordsError: <exception str"),
    "error of a megabyte": Case("step", raising(ValueError("x" * 10**6)), " characters ..."),
    "error group": Case("step", raising(ExceptionGroup("many", [KeyError("k")])), "KeyError: 'k'"),
    "StopIteration": Case("step", raising(StopIteration(3)), "StopIteration: 3"),
    "GeneratorExit": Case("step", raising(GeneratorExit()), "GeneratorExit"),
    "SystemExit 0": Case("step", raising(SystemExit(0)), "SystemExit: 0"),
    "SystemExit text": Case("reset", raising(SystemExit("x")), "SystemExit: x"),
    "BaseException": Case("step", raising(BaseException("odd")), "BaseException: odd"),
    "recursion": Case("step", recursing, "RecursionError: maximum recursion depth"),
    "memory": Case("step", raising(MemoryError("full")), "MemoryError: full"),
    "assertion": Case("step", raising(AssertionError()), "AssertionError"),
    "warning as an error": Case("step", raising(UserWarning("hm")), "UserWarning: hm"),
    "error in make": Case("make", raising(OSError("no port")), "OSError: no port", False),
    "exit in make": Case("make", raising(SystemExit(0)), "SystemExit: 0", False),
    "error in close": Case("close", raising(OSError("gone")), "OSError: gone", False),
    "error in render": Case("render", raising(OSError("no display")), SAME, False),
    # What is done besides
    "much text": Case("step", doing(much_text), SAME),
    "bad logging": Case("step", doing(bad_logging), SAME),
    "warns": Case("step", doing(warning), SAME),
    "warnings are errors": Case("make", doing(errors_from_warnings), SAME, False),
    "seeds NumPy": Case("step", doing(lambda env: np.random.seed(0)), SAME),
    "other spaces": Case("step", doing(other_spaces), SAME),
    # Episodes
    "never ends": Case("step", never_ending, {"length_mean": 8.0}, False),
    "ends at once": Case("step", ending, {"length_mean": 1.0}, False),
    "cut off at once": Case("step", cut_off, {"length_mean": 1.0}, False),
    "chance": Case("step", random_of_its_own, "check_env:\nAssertionError: Deterministic", False),
    "chance at the end": Case("step", random_at_the_end, SEED, False),
    "leftover": Case("step", leftover, "not equivalent for the same seed", False),
}

# These need a process of their own.
PROCESS = {
    "ends 0": Case("step", doing(lambda env: os._exit(0)), "ended its process (exit code 0)"),
    "ends at reset": Case("reset", doing(lambda env: os._exit(0)), "(exit code 0), which it must"),
    "ends 3": Case("step", doing(lambda env: os._exit(3)), "ended its process (exit code 3)"),
    "aborts": Case("reset", doing(lambda env: os.abort()), "crashed in native code (SIGABRT)"),
    "segfault": Case("step", doing(kill(signal.SIGSEGV)), "crashed in native code (SIGSEGV)"),
    "killed": Case("step", doing(kill(signal.SIGKILL)), "(SIGKILL), as for lack of memory"),
    "interrupts": Case("step", raising(KeyboardInterrupt()), "failed in step with action"),
    "changes folder": Case("step", doing(lambda env: os.chdir("/")), SAME),
    "clears environ": Case("step", doing(lambda env: os.environ.clear()), SAME),
    "closes stdout": Case("step", doing(lambda env: sys.stdout.close()), SAME),
    "leaves a thread": Case(
        "make", doing(lambda env: threading.Thread(target=time.sleep, args=(600,)).start()), SAME
    ),
}
CASES |= PROCESS


class NoSpace(Good):
    """A property of its own that raises."""

    @property
    def action_space(self) -> Any:
        raise LookupError("no such space")


class Unseeded(Good):
    """Draws from the same numbers whatever the seed."""

    def reset(self, *, seed=None, options=None) -> Any:
        return super().reset(seed=None)


class OldReset(Good):
    """An old signature."""

    def reset(self) -> Any:
        return super().reset()


class NoMetadata(Good):
    metadata = None


class ModesAreANumber(Good):
    metadata: ClassVar[dict[str, Any]] = {"render_modes": 5}


class OwnSpec(Good):
    """Has a `spec` that is none, and a time limit of its own idea."""

    spec = "my own"


class DefaultSeed(Good):
    """Gymnasium warns of it."""

    def reset(self, *, seed=42, options=None) -> Any:
        return super().reset(seed=seed)


class Chance(Good):
    """Is registered as what it is."""

    def step(self, action) -> Any:
        return random_of_its_own(self, [*super().step(action)])


class NotAnEnv:
    """Derives from nothing."""


SPECIAL: dict[str, tuple[type, dict[str, Any], str | dict[str, Any]]] = {
    "NoSpace": (NoSpace, {}, "LookupError: no such space"),
    "Unseeded": (Unseeded, {}, "`env.reset(seed=123)` is non-deterministic"),
    "OldReset": (OldReset, {}, "reset() got an unexpected keyword argument 'seed'"),
    "NoMetadata": (NoMetadata, {}, "InvalidMetadata: Expect the environment metadata to be dict"),
    "ModesAreANumber": (
        ModesAreANumber,
        {},
        "failed in make:\nTypeError: 'int' object is not iterable",
    ),
    "OwnSpec": (OwnSpec, {}, SAME),
    "DefaultSeed": (DefaultSeed, {}, SAME),
    "Chance": (Chance, {"nondeterministic": True}, {"length_mean": 6.0}),
    "NotAnEnv": (NotAnEnv, {}, "must inherit from the gymnasium.Env class"),
    "Unlimited": (Good, {"max_episode_steps": None}, "expected a time limit"),
}

for name, (entry, options, _) in SPECIAL.items():
    gymnasium.register(f"Odd{name}-v0", entry, **({"max_episode_steps": 8} | options))
for entry in (Good, Faulty, Late):
    gymnasium.register(f"Mis{entry.__name__}-v0", entry, max_episode_steps=8)


def train_late(cell: Any, seed: int, training: Any, case: str) -> Any:
    """A task: a training in which a case begins at once."""
    global LATE, BEGIN
    LATE, BEGIN = case, 0
    return train(cell, seed, training)

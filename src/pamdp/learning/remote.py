"""An environment in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Collection
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from typing import Any

import gymnasium
import numpy as np

from pamdp.base.errors import EnvironmentFailure, PamdpError
from pamdp.base.lazy import prepare_process
from pamdp.base.processor import CORES
from pamdp.bridge.gymnasium import Gymnasium
from pamdp.learning.state import Transition
from pamdp.lifetime import end_with_parent

PATIENCE = 3.0  # seconds for a process to end by itself


def answered(environment: gymnasium.Env, action: Any) -> Transition:
    """What an action brought, in numbers and arrays; after an ended episode the next one begins."""
    following, reward, terminated, truncated, _ = environment.step(action)
    ended = terminated or truncated
    observation = environment.reset()[0] if ended else following
    return Transition(reward, terminated, ended, following, observation)  # pyright: ignore[reportArgumentType]


class Remote:
    """An instance of a task's environment, in a process that may use all cores of the study.

    What is sent is taken up at once; what comes of it is waited for. So several work side by side.

    Args:
      task: what makes it.
    """

    def __init__(self, task: Gymnasium) -> None:
        context = multiprocessing.get_context("spawn")
        self._task = task
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, task, CORES), daemon=True)
        self._process.start()
        theirs.close()

    def reset(self, seed: int) -> None:
        """Has it begin an episode, whose first observation [S] is received."""
        self._send(seed)

    def step(self, action: tuple[int, tuple[np.ndarray, ...]]) -> None:
        """Has it carry out an action, of which a `Transition` is received."""
        self._send(action)

    def receive(self) -> Any:
        """What came of it.

        Raises:
          EnvironmentFailure: it failed, or its process has ended.
          SettingsError: it cannot be made.
        """
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if isinstance(answer, PamdpError):
            raise answer
        return answer

    def close(self) -> None:
        """Ends its process."""
        self._connection.close()
        self._process.join(PATIENCE)
        self._process.kill()
        self._process.join()

    def _send(self, what: Any) -> None:
        with suppress(OSError):  # it is gone, and `receive` tells why
            self._connection.send(what)

    def _lost(self) -> EnvironmentFailure:
        self._process.join(PATIENCE)
        return EnvironmentFailure(
            f"environment {self._task.id!r}: expected the process of a copy to go on, received its "
            f"end (exit code {self._process.exitcode}); an environment must not end its process, "
            "and training_copies: 1 needs none"
        )


def _serve(connection: Connection, task: Gymnasium, cores: Collection[int]) -> None:
    """Does what is sent until nobody sends any more; runs in a process of its own."""
    signal.signal(signal.SIGINT, lambda *_: None)  # the process that started it ends it
    end_with_parent()
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(0, cores)
    prepare_process()
    try:
        with closing(_made(task)) as environment:
            while True:
                given = connection.recv()
                if isinstance(given, int):
                    connection.send(environment.reset(seed=given)[0])
                else:
                    connection.send(answered(environment, given))
    except EOFError:
        return
    except PamdpError as error:
        connection.send(error)


def _made(task: Gymnasium) -> gymnasium.Env:
    try:
        return task.make()
    except PamdpError as error:
        raise type(error)(
            f"{error}\ntraining_copies: expected an environment that other processes can make, "
            "too, which a module registers or `module:name` names, and no notebook or script"
        ) from error

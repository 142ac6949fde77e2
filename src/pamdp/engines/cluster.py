"""The connection to a Ray cluster, or to a Ray that is started on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pamdp.base.errors import PamdpError
from pamdp.engines.base import Engine

ANSWER = 10.0  # seconds for a cluster to take a connection


def connected() -> ModuleType:
    """Ray, connected to the cluster of RAY_ADDRESS, or to one that is started on this machine.

    Raises:
      PamdpError: Ray is not installed, or there is no cluster there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing here reports to anyone
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # one error is told, ours
    if not os.environ.get("RAY_ADDRESS"):
        os.environ.update(_token())
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own is 15, behind all else
    try:
        import ray
    except ImportError:
        raise PamdpError(
            "PAMDP_ENGINE: expected Ray to be installed, found none; `pip install 'pamdp[ray]'`"
        ) from None
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"address": address or "local", "logging_level": logging.ERROR}
        if address:
            _reach(address)
        else:
            options["num_cpus"] = Engine.workers()
        where = f"the cluster at {address}" if address else "Ray on this machine"
        try:
            with _signals_kept():
                ray.init(**options)
        except Exception as error:  # noqa: BLE001  whatever Ray raises
            raise PamdpError(
                f"expected to connect to {where}, received {type(error).__name__}: {error}"
            ) from None
    return ray


def _token() -> dict[str, str]:
    """What a Ray started here asks for of who connects: it listens on all of its addresses.

    Ray reads this when it is imported.
    """
    if "RAY_AUTH_MODE" in os.environ or "ray" in sys.modules:
        return {}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _reach(address: str) -> None:
    """Looks whether something listens at an address: Ray would wait for it, for ever.

    Raises:
      PamdpError: nothing does.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        return  # such as "auto", which Ray finds out by itself
    try:
        socket.create_connection((host, int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise PamdpError(
            f"RAY_ADDRESS: expected the address of a Ray cluster, received {address}, where "
            f"nothing answers ({error}); `ray start --head` starts one, and tells its address"
        ) from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keeps the handler of SIGTERM, which Ray replaces by one that ends the process on the spot."""
    kept = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if kept is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, kept)


def places(ray: ModuleType) -> list[dict[str, float]]:
    """What the living nodes have that have cores."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [each for each in found if each.get("CPU")]


def largest(ray: ModuleType) -> float:
    """The most memory that a node with cores has for tasks, in bytes; 0 where there is none."""
    return max((each.get("memory", 0.0) for each in places(ray)), default=0.0)

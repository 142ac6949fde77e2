"""Engines map tasks to workers. The bytes of a result depend neither on engine nor on workers."""

import os

from pamdp.problems import SettingsError


def workers() -> int:
    """How many tasks run at a time: PAMDP_WORKERS, by default the cores this process may use."""
    text = os.environ.get("PAMDP_WORKERS", "")
    if not text:
        affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"PAMDP_WORKERS: expected a whole number from 1, received {text!r}")
    return int(text)

"""What the engine of Ray costs the coordinator, and whether many tasks are under way at once.

    python -m benchmarks.cluster

The cluster is this machine, which says that it has 112 cores; tasks sleep. It takes some minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence

import psutil

from pamdp.engines.cluster import connected
from pamdp.engines.ray import Ray

CORES = 112
TASKS, EVENTS = 10_000, 10_000


def sleep(seconds: float) -> tuple[float, float]:
    """When it began and ended."""
    began = time.time()
    time.sleep(seconds)
    return began, time.time()


def tell(number: int) -> Generator[int, None, int]:
    """Tells of so many steps."""
    yield from range(number)
    return number


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """How many of some spans of time there are at a time at most."""
    edges = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    now, most = 0, 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most


def coordinator(items: Sequence[tuple], workers: int) -> tuple[float, float, float]:
    """Seconds by the clock and of this process, and megabytes that it grows, of some tasks."""
    before, started, used = held(), time.monotonic(), time.process_time()
    with Ray(workers) as engine:
        engine.map(tell, items, lambda *_: None)
    return time.monotonic() - started, time.process_time() - used, held() - before


def held() -> float:
    """The memory that this process holds, in megabytes."""
    return psutil.Process().memory_info().rss / 2**20


def main() -> None:
    """Prints the figures."""
    os.environ["PAMDP_WORKERS"] = str(CORES)
    started = time.monotonic()
    connected()
    print(f"Ray starts in {time.monotonic() - started:.1f} s", flush=True)
    with Ray(2) as engine:
        engine.map(sleep, [(0.0,)] * 2)
    _, used, _ = coordinator([(0,)] * 1000, 2)
    print(f"a task costs the coordinator {1e3 * used / 1000:.2f} ms")
    _, more, _ = coordinator([(EVENTS,)], 2)
    print(f"an event costs the coordinator {1e3 * more / EVENTS:.2f} ms")
    for number in (1, 10):
        clock, used, grown = coordinator([(number,)] * TASKS, 2)
        print(
            f"{TASKS:,} tasks of {number} events: {grown:.0f} MB, {used:.0f} s of the coordinator, "
            f"{clock:.0f} s by the clock",
            flush=True,
        )
    started = time.monotonic()
    with Ray(CORES) as engine:
        spans = engine.map(sleep, [(240.0,)] * CORES)
    print(f"{most_at_once(spans)} of {CORES} tasks were under way at once")
    print(f"all had begun after {max(began for began, _ in spans) - min(spans)[0]:.0f} s")


if __name__ == "__main__":
    main()

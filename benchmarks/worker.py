"""Measures one case in a process of its own: `python -m benchmarks.worker CASE CORES`.

Says when it is ready, then measures once for each line that it reads.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys


def main() -> None:
    name, cores = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    from benchmarks.cases import CASES  # libraries count the cores when they are imported

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # The answers are lines of their own on the real standard output; libraries may write as well.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        measure = CASES[name].prepare()
    except ModuleNotFoundError as error:
        if error.name != CASES[name].needs:
            raise
        print(json.dumps({"missing": error.name}), file=answers)
        return
    print(json.dumps({"ready": True}), file=answers)
    for _ in sys.stdin:
        value = measure()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"value": value, "peak_mb": peak}), file=answers)


if __name__ == "__main__":
    main()

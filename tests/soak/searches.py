"""Runs one search in many ways, which all have to give the same bytes.

    python -m tests.soak.searches --pruner wilcoxon --seed 1

It has floats, integers, choices of structure, a pruner and three seeds a trial. It runs with 1, 2
and 3 workers; killed at three random points and run again; and with fewer trials, which then grow.

This takes some minutes and is no part of the test suite.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.pipeline import checkout, small

LATE = "after its end"
CELL = "platform-mpdqn-reversal"
PRUNERS: dict[str, dict[str, Any]] = {
    "median": {"kind": "median", "n_startup_trials": 2, "n_warmup_steps": 300},
    "successive_halving": {
        "kind": "successive_halving",
        "min_resource": 300,
        "reduction_factor": 2,
    },
    "wilcoxon": {"kind": "wilcoxon", "p_threshold": 0.3},
}
SAMPLERS = ("tpe", "random", "qmc", "cmaes", "gp")
SPACE = [
    {"path": "learner.q.learning_rate", "low": 1e-4, "high": 1e-1, "log": True},
    {"path": "strategy.factor", "low": 0.0, "high": 1.0},
    {"path": "learner.n_step.steps", "low": 2, "high": 3},
    {"path": "learner.q.hidden", "choices": [[32], [32, 32]]},
]
LEARNER = "environments.platform.learner"
CHANGES = small.CHANGES | {
    "study.strategies": ["reversal"],
    f"{LEARNER}.n_step": {"steps": 3, "beta": 0.5},
    f"{LEARNER}.q.hidden": [32],
    "environments.platform.training": {
        "steps": 3000,
        "report_every": 300,
        "evaluation_episodes": 50,
    },
    "tuning.trials": 10,
    "tuning.seeds": [1001, 1002, 1003],
    "tuning.space": SPACE,
    "tuning.enqueue": [{"learner.q.learning_rate": 0.02, "learner.q.hidden": [32, 32]}],
}


def command(folder: Path, workers: int) -> dict[str, Any]:
    """How the search is started."""
    variables = {"PAMDP_WORKERS": str(workers), "PAMDP_TRACKING": "off"} | small.compiled(folder)
    return {
        "args": [sys.executable, "pipeline/tune.py", CELL],
        "cwd": folder,
        "env": checkout.environment(folder, **variables),
        "stdin": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }


def searched(folder: Path, workers: int) -> dict[str, bytes]:
    """What a search gives that runs to its end."""
    subprocess.run(**command(folder, workers), check=True)
    return checkout.contents(folder, "metrics/tune")


def anew(folder: Path) -> None:
    """Forgets the search."""
    (folder / "optuna.db").unlink(missing_ok=True)
    shutil.rmtree(folder / ".work" / "ahead", ignore_errors=True)


def killed(folder: Path, workers: int, seconds: float) -> str:
    """Kills a search after some seconds; says what was there by then."""
    process = subprocess.Popen(**command(folder, workers), start_new_session=True)
    try:
        process.wait(seconds)
        return LATE
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"after {seconds:.1f} s, {dict(stored(folder))} in optuna.db"


def stored(folder: Path) -> Counter[str]:
    """How many trials there are, by state."""
    import optuna

    if not (folder / "optuna.db").exists():
        return Counter()
    storage = f"sqlite:///{folder / 'optuna.db'}"
    names = optuna.study.get_all_study_names(storage)
    trials = [optuna.load_study(study_name=name, storage=storage).trials for name in names]
    return Counter(trial.state.name for found in trials for trial in found)


def main() -> None:
    """Compares them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pruner", choices=PRUNERS, default="median")
    parser.add_argument("--sampler", choices=SAMPLERS, default="tpe")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    chosen = {
        "tuning.pruner": PRUNERS[options.pruner],
        "tuning.sampler": {"kind": options.sampler},
    }
    with tempfile.TemporaryDirectory() as place:
        folder = checkout.make(Path(place) / "study", CHANGES | chosen)
        checkout.succeed(folder, "pamdp", "setup", PAMDP_TRACKING="off")
        searched(folder, 2)  # compiles
        anew(folder)
        begun = time.monotonic()
        expected = searched(folder, 1)
        seconds = time.monotonic() - begun
        print(f"1 worker: {seconds:.1f} s, {dict(stored(folder))}")
        print(expected[f"metrics/tune/{CELL}/trials.csv"].decode(), flush=True)
        same = {}
        for workers in (2, 3):
            anew(folder)
            same[f"{workers} workers"] = searched(folder, workers) == expected
            print(same, flush=True)
        anew(folder)
        hits = 0
        while hits < 3:
            at = killed(folder, chance.choice((1, 2, 3)), chance.uniform(0.35, 0.75) * seconds)
            print(f"killed {at}", flush=True)
            hits += 1
            if at == LATE:  # the machine is faster than it was
                hits, seconds = 0, seconds / 2
                anew(folder)
        same["killed and resumed"] = searched(folder, 2) == expected
        print(same, flush=True)
        anew(folder)
        for trials in (5, CHANGES["tuning.trials"]):
            checkout.change(folder, {"tuning.trials": trials})
            checkout.succeed(folder, "pamdp", "setup", PAMDP_TRACKING="off")
            found = searched(folder, 2)
        same["5 trials, then all"] = found == expected
        print(json.dumps(same))
    if not all(same.values()):
        raise SystemExit("expected the same bytes")


if __name__ == "__main__":
    main()

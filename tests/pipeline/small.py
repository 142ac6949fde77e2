"""A study that takes seconds, and how the tests run it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.pipeline import checkout

CELL, OTHER = CELLS = ("platform-mpdqn-plain", "platform-mpdqn-reversal")
SEEDS, STEPS, EVERY, TRIALS, EPISODES = (1, 2), 1500, 300, 2, 50
POINTS = list(range(EVERY, STEPS + 1, EVERY))
SHARE, TRIAL_STEPS = 0.4, 600
STAGES = ["setup", *(f"{kind}@{cell}" for kind in ("tune", "train") for cell in CELLS)]
STAGES += ["evaluate", "export", "report"]
TRAININGS = [f"train@{cell}" for cell in CELLS]
CHANGES = {
    "study.name": "platform",
    "study.environments": ["platform"],
    "study.algorithms": ["mpdqn"],
    "study.strategies": ["plain", "reversal"],
    "study.seeds": list(SEEDS),
    "environments.platform.learner.batch_size": 32,
    "environments.platform.learner.replay_size": 1000,
    "environments.platform.learner.learning_starts": 64,
    "environments.platform.training": {
        "steps": STEPS,
        "report_every": EVERY,
        "evaluation_episodes": EPISODES,
    },
    "tuning.trials": TRIALS,
    "tuning.share": SHARE,
    "evaluation.episodes": EPISODES,
}
NOWHERE = "http://127.0.0.1:9"

# What `dvc repro` prints when it starts a stage, what it prints on stderr, and a stage's progress.
STARTED = re.compile(r"^Running stage '(.*)':$", re.MULTILINE)
DVC_LINES = ("Generating lock file 'dvc.lock'", "Updating lock file 'dvc.lock'", "")
PROGRESS = re.compile(
    r"(tune|train|evaluate|export)( [\w-]+)?: [\d,]+ of [\d,]+ (trials|steps|cells|models)"
    r"( in \d[\w. ]*)?(, \d.*)?(, (mean return|best score) -?\d\.\d{3})?"
)

OVERVIEW = re.compile(r"study: \d of \d cells( in [\w. ]+)?(; .* under way)?; about [\w ]+ left")

# Runs a script that ends like a machine without power, right after it has written its third
# checkpoint, with one at each point.
KILLED = """
import os, runpy, signal, sys
from pamdp import checkpoint
from pamdp.learning import training

save, written = checkpoint.save, []

def last_save(*arguments):
    save(*arguments)
    written.append(arguments[0].name)
    if len(written) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save, training.CHECKPOINT_SECONDS = last_save, 0.0
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def log(folder: Path, name: str) -> Path:
    """Where the output of a command is kept."""
    return folder.with_name(f"{folder.name}.logs") / name


def printed(folder: Path, *names: str) -> str:
    """What commands printed there."""
    return "".join(log(folder, name).read_text() for name in names)


def keep(folder: Path, name: str, done) -> None:
    """Keeps what a command printed."""
    for stream in ("stdout", "stderr"):
        path = log(folder, f"{name}.{stream}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(getattr(done, stream))


def run_study(folder: Path) -> None:
    """The whole study with two workers; the lock file is kept as it is after the first training."""
    checkout.make(folder, CHANGES)
    two = {"PAMDP_WORKERS": "2"} | compiled(folder)
    first = checkout.succeed(folder, "dvc", "repro", f"train@{CELL}", **two)
    keep(folder, "first", first)
    log(folder, "dvc.lock").write_bytes((folder / "dvc.lock").read_bytes())
    keep(folder, "rest", checkout.succeed(folder, "dvc", "repro", **two))
    log(folder, "lock before").write_bytes((folder / "dvc.lock").read_bytes())
    keep(folder, "again", checkout.succeed(folder, "dvc", "repro"))
    log(folder, "lock again").write_bytes((folder / "dvc.lock").read_bytes())
    checkout.commit(folder)


def run_lanes(folder: Path) -> None:
    """The whole study, both cells at a time, as `make study` does it."""
    checkout.make(folder, CHANGES)
    two = {"PAMDP_WORKERS": "2"} | compiled(folder)
    keep(folder, "lanes", checkout.succeed(folder, "pamdp", "study", **two))
    keep(folder, "lanes again", checkout.succeed(folder, "dvc", "status", "--json"))


def run_cell(folder: Path) -> None:
    """The same training with one worker, killed midway, and with MLflow out of reach."""
    checkout.make(folder, CHANGES)
    one = {"PAMDP_WORKERS": "1"} | compiled(folder)
    quiet = one | {"PAMDP_TRACKING": "off"}
    keep(folder, "tune", checkout.succeed(folder, "dvc", "repro", f"tune@{CELL}", **quiet))
    train = (sys.executable, "-c", KILLED, "pipeline/train.py", CELL)
    killed = checkout.run(folder, *train, **quiet)
    log(folder, "killed").write_text(str(killed.returncode))
    found = [*checkout.contents(folder, ".work"), *checkout.contents(folder, "metrics/train")]
    log(folder, "found").write_text("\n".join(found))
    down = one | {"MLFLOW_TRACKING_URI": NOWHERE}
    keep(folder, "train", checkout.succeed(folder, "dvc", "repro", f"train@{CELL}", **down))
    keep(folder, "track", checkout.succeed(folder, "pamdp", "track"))


def compiled(folder: Path) -> dict[str, str]:
    """Compiled programs are shared by the checkouts: they take time and no part in results."""
    cache = folder.with_name("compiled")
    return {"TF_XLA_FLAGS": f"--tf_xla_persistent_cache_directory='{cache}'"}

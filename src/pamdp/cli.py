"""The command `pamdp`: a verb for each thing to do, and one place where errors become a line."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from pamdp import lifetime
from pamdp.base.lazy import prepare_process
from pamdp.base.places import SOURCE, project, workspace
from pamdp.base.processor import keep_programs
from pamdp.extras import require_study
from pamdp.guard import alone, reported

GUIDE = """\
A study is a folder with params.yaml. `pamdp study` runs all of it; most other verbs are its stages,
which dvc.yaml runs one by one. `pamdp VERB --help` tells more.

environment variables:
  PAMDP_WORKERS          tasks at a time (default: all cores)
  PAMDP_ENGINE           threads, processes or ray (default: what suits the environment)
  RAY_ADDRESS            a Ray cluster, for the engine ray (default: one started here)
  PAMDP_TRACKING=off     no MLflow
  MLFLOW_TRACKING_URI    a tracking server instead of mlflow.db"""


class Verb(NamedTuple):
    """A verb; the module of its name in `pamdp.stages` has a function `run` of its options.

    Attributes:
      summary: what it does, in a line.
      examples: of how it is used.
      arguments: keywords of `ArgumentParser.add_argument`, by name.
      sole: whether one process of a checkout does it at a time, of a cell if it is about one.
      study: whether it needs what the extra `study` installs.
    """

    summary: str
    examples: str
    arguments: Mapping[str, Mapping[str, Any]] = {}
    sole: bool = True
    study: bool = True


CELL = {
    "cell": {
        "help": "environment-algorithm-strategy, by their names in params.yaml",
        # dvc.yaml gives the name of the stage, which the shell does not read as its own words.
        "type": lambda text: text.rpartition("@")[2],
    }
}
VERBS = {
    "init": Verb(
        "start a study in a folder of your own",
        "pamdp init              in this folder\n"
        "pamdp init my_study     in another, which is made if need be",
        {"folder": {"nargs": "?", "type": Path, "default": Path(), "help": "default: this one"}},
        sole=False,
        study=False,
    ),
    "study": Verb(
        "run the study of params.yaml, or what of it is out of date",
        "pamdp study                                   all, several cells at a time\n"
        "pamdp study train@platform-mpdqn-inverting    one stage, and what it depends on\n"
        "pamdp study --force                           all, even what is up to date",
        {
            "stages": {
                "metavar": "STAGE",
                "nargs": "*",
                "help": "of dvc.yaml: these, and what they depend on, one after another",
            },
            "--force": {
                "action": "store_true",
                "help": "run them even if they are up to date (searches take their trials from "
                "optuna.db)",
            },
        },
    ),
    "setup": Verb(
        "check settings, installation and environments; write down what results depend on",
        "pamdp setup",
    ),
    "tune": Verb("run the Optuna study of a cell", "pamdp tune platform-mpdqn-inverting", CELL),
    "train": Verb("train all seeds of a cell", "pamdp train platform-mpdqn-inverting", CELL),
    "evaluate": Verb(
        "play greedy episodes with all seeds of all cells; compare the cells", "pamdp evaluate"
    ),
    "export": Verb(
        "save the best seed of each cell as a SavedModel and prove that it acts the same",
        "pamdp export",
    ),
    "report": Verb(
        "write tables, figures, the film of the best policy and the page that holds them",
        "pamdp report",
    ),
    "watch": Verb(
        "watch a policy in a window, or write a film of it",
        "pamdp watch platform-mpdqn-inverting                    in a window\n"
        "pamdp watch platform-mpdqn-inverting --file film.mp4    as a film\n"
        "pamdp watch models/platform-mpdqn-inverting             an exported model",
        {
            "source": {
                "help": "a cell, a checkpoint (.work/train/CELL/MARK/seed-1.npz) or a SavedModel "
                "(models/CELL); of a cell that is being trained, its newest checkpoint"
            },
            "--environment": {
                "help": "another one: a name in params.yaml, or an id of Gymnasium such as "
                "pamdp/Platform-v0"
            },
            "--seed": {
                "type": int,
                "help": "of the training run and of the episodes; by default the best run there is",
            },
            "--episodes": {"type": int, "default": 1, "help": "how many (default: 1)"},
            "--file": {"type": Path, "help": "write a film: film.gif or film.mp4"},
        },
        sole=False,
    ),
    "track": Verb(
        "show in MLflow all that this checkout holds: runs, results, models",
        "pamdp track",
        sole=False,
    ),
    "ui": Verb(
        "browse the runs in MLflow; print the address of the cells, best first",
        "pamdp ui\npamdp ui --port 5001",
        {"--port": {"type": int, "default": 5000, "help": "on 127.0.0.1 (default: 5000)"}},
        sole=False,
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; what goes wrong is one message on stderr, and an exit code that tells.

    Args:
      arguments: of the command line, by default those of the process.
    """
    _run_code_of_checkout()
    options = parser().parse_args(arguments)
    _prepare()
    verb = VERBS[options.verb]
    sole = verb.sole and Path("params.yaml").is_file()
    with reported(options.verb):
        if verb.study:
            require_study(f"pamdp {options.verb}")
        with (
            alone(options.verb, getattr(options, "cell", "")) if sole else nullcontext(),
            _unchanged(options.verb),
        ):
            importlib.import_module(f"pamdp.stages.{options.verb}").run(options)


def _run_code_of_checkout() -> None:
    """Starts the process anew with the code of the checkout that it stands in, if it is another's.

    An installation in development points at one checkout. In another one, such as a copy that DVC
    makes for a queued experiment, what runs would not be what is hashed.
    """
    checkout = project(Path.cwd())
    if checkout is not None and not Path(__file__).parent.samefile(checkout / SOURCE):
        own = checkout / SOURCE.parent
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if str(own) in paths:
            sys.exit(f"error: expected to run the code of {own}, received that of {__file__}")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(own), *paths]))
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _prepare() -> None:
    """Sets up the process for what it does."""
    prepare_process()
    keep_programs(workspace(Path.cwd()) / ".work")
    sys.path.append(str(Path.cwd()))  # a user's environment may be a module of the study's folder
    lifetime.obey_signals()
    lifetime.end_with_starters()


def _unchanged(verb: str) -> AbstractContextManager[None]:
    """Refuses what is edited while a stage of all cells runs."""
    from pamdp.checkout import Checkout  # slow to import, as is the next one
    from pamdp.stages.unchanged import STAGES, unchanged

    return unchanged(Checkout.here(), verb) if verb in STAGES else nullcontext()


def parser() -> ArgumentParser:
    """What the command line may be."""
    result = ArgumentParser(
        "pamdp",
        description="A laboratory for reinforcement learning with parameterised actions.",
        epilog=GUIDE,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verbs = result.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        child = verbs.add_parser(
            name,
            help=verb.summary,
            description=verb.summary[0].upper() + verb.summary[1:] + ".",
            epilog="examples:\n  " + verb.examples.replace("\n", "\n  "),
            formatter_class=RawDescriptionHelpFormatter,
        )
        for argument, keywords in verb.arguments.items():
            child.add_argument(argument, **keywords)
    return result

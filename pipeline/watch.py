"""Plays a trained policy in a window, or writes a film of it."""

from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage

HELP = {
    "source": "a cell (platform-mpdqn-inverting), a checkpoint (.work/train/CELL/MARK/seed-1.npz) "
    "or a SavedModel (models/CELL); of a cell that is being trained, its newest checkpoint",
    "environment": "another one: a name in params.yaml or an id of Gymnasium (pamdp/Platform-v0)",
    "seed": "of the training run and of the episodes; by default the best run there is",
    "episodes": "how many (default: 1)",
    "file": "write a film: film.gif or film.mp4",
}


def main(*arguments: str) -> None:
    parser = ArgumentParser("watch.py", description=__doc__)
    parser.add_argument("source", help=HELP["source"])
    parser.add_argument("--environment", help=HELP["environment"])
    parser.add_argument("--seed", type=int, help=HELP["seed"])
    parser.add_argument("--episodes", type=int, default=1, help=HELP["episodes"])
    parser.add_argument("--file", type=Path, help=HELP["file"])
    options = parser.parse_args(arguments)
    from pamdp.stages.watch import Wanted, watch  # slow to import, and not needed for --help

    with suppress(KeyboardInterrupt):  # enough has been seen
        watch(load(), Path.cwd(), Wanted(**vars(options)), print)


if __name__ == "__main__":
    stage(main)

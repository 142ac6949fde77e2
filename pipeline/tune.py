"""Tunes one cell: `python pipeline/tune.py platform-mpdqn-inverting`."""

from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage
from pamdp.stages.tuning import tune_cell


def main(cell: str) -> None:
    tune_cell(load(), cell, Path.cwd())


if __name__ == "__main__":
    stage(main)

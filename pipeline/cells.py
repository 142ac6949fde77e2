"""Tunes and trains the cells that are out of date, several at a time; `dvc repro` does the rest."""

from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage
from pamdp.stages.lanes import run_cells


def main() -> None:
    run_cells(load(), Path.cwd())


if __name__ == "__main__":
    stage(main)

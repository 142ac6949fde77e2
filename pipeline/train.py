"""Trains all seeds of one cell: `python pipeline/train.py platform-mpdqn-inverting`."""

from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage
from pamdp.stages.cells import train_cell


def main(cell: str) -> None:
    train_cell(load(), cell, Path.cwd())


if __name__ == "__main__":
    stage(main)

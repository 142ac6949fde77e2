"""Evaluates all seeds of all cells and compares the cells."""

from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage
from pamdp.stages.study import evaluate_study


def main() -> None:
    evaluate_study(load(), Path.cwd())


if __name__ == "__main__":
    stage(main)

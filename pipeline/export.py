"""Exports the best seed of every cell as a SavedModel and proves that it acts the same."""

from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage
from pamdp.stages.models import export_study


def main() -> None:
    export_study(load(), Path.cwd())


if __name__ == "__main__":
    stage(main)

"""Shows in MLflow all that this checkout holds: runs not tracked live, or restored by DVC."""

from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage
from pamdp.tracking import rebuild


def main() -> None:
    shown = rebuild(load().study.name, Path.cwd())
    print(*shown, f"{len(shown)} shown in MLflow", sep="\n")


if __name__ == "__main__":
    stage(main)

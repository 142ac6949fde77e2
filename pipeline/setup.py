"""Validates settings, installation and environments; `--check` validates params.yaml alone."""

from pathlib import Path

from pamdp.settings import load
from pamdp.stages import stage


def main(*arguments: str) -> None:
    settings = load()
    if arguments == ("--check",):
        return
    from pamdp.stages.study import set_up  # slow to import, and not needed for a check

    set_up(settings, Path.cwd())


if __name__ == "__main__":
    stage(main)

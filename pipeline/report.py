"""Writes tables, figures, the film of the best policy, and the page that holds them all."""

from pathlib import Path

from pamdp.reporting import write_report
from pamdp.settings import load
from pamdp.stages import stage
from pamdp.stages.study import film_best, track


def main() -> None:
    settings, root = load(), Path.cwd()
    film_best(settings, root)
    write_report(root)
    track(settings, root)


if __name__ == "__main__":
    stage(main)

"""Validates settings, installation and environments; `--check` validates params.yaml alone."""

from pathlib import Path

from pamdp.settings import SettingsError, load
from pamdp.stages import stage


def main(option: str = "") -> None:
    if option not in ("", "--check"):
        raise SettingsError(f"expected no argument or --check, received {option!r}")
    settings = load()
    if option:
        return
    from pamdp.stages.study import set_up  # slow to import, and not needed for a check

    set_up(settings, Path.cwd())


if __name__ == "__main__":
    stage(main)

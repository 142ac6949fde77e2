"""Validates settings, installation and environments.

`--check` validates params.yaml alone. Environments of Gymnasium whose code has changed will then be
described anew.
"""

from pathlib import Path

from pamdp.envs.gymnasium import Gymnasium
from pamdp.settings import SettingsError, load
from pamdp.stages import stage


def main(option: str = "") -> None:
    if option not in ("", "--check"):
        raise SettingsError(f"expected no argument or --check, received {option!r}")
    settings = load()
    if option and not any(isinstance(cell.task, Gymnasium) for cell in settings.cells):
        return
    from pamdp.stages.study import forget_changed, set_up  # slow to import

    (forget_changed if option else set_up)(settings, Path.cwd())


if __name__ == "__main__":
    stage(main)

"""What belongs to the extra `study`: environments, training and saving do without it."""

from __future__ import annotations

from importlib.util import find_spec

from pamdp.base.errors import NotInstalled

# What code of ours imports of it; pyproject.toml has the packages.
MODULES = (
    "cmaes",
    "dvc",
    "imageio_ffmpeg",
    "jinja2",
    "matplotlib",
    "mlflow",
    "optuna",
    "scipy",
    "tqdm",
    "vl_convert",
)


def require_study(wanted: str) -> None:
    """Looks whether the extra is installed, without importing anything.

    Args:
      wanted: what needs it, in words.

    Raises:
      NotInstalled: it is not.
    """
    if missing := [name for name in MODULES if find_spec(name) is None]:
        raise NotInstalled(
            f"{wanted}: expected the packages of the extra `study`, received an installation "
            f'without {", ".join(missing)}; run `pip install "pamdp[study]"`'
        )

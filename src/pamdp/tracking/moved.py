"""Addresses of artifacts in `mlflow.db`, which MLflow keeps as full paths, after a move."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pamdp.tracking.connection import artifacts

# Where MLflow keeps addresses of artifacts.
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow(root: Path, database: Path, seconds: float) -> None:
    """Makes a database speak of the artifacts beside it, if it speaks of those of another folder.

    So a checkout may be moved or copied, with its artifacts. A second time changes nothing.

    Args:
      root: the project's root.
      database: of MLflow, whole.
      seconds: for which another process that writes is waited for.
    """
    here = artifacts(root)
    folder = here.rpartition("/")[2]
    with closing(sqlite3.connect(database, timeout=seconds)) as db, db:
        query = "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE ?"
        found = {there for (there,) in db.execute(query, [f"file:///%/{folder}"])}
        moved = {there for there in found - {here} if _came_along(db, there, here)}
        if not moved and here not in found:
            # There are no artifacts yet. Otherwise a folder's absence alone would tell nothing:
            # that of another checkout may be back tomorrow.
            moved = {there for there in found if not _path(there).exists()}
        for there in moved:
            for table, column in COLUMNS:
                # By length: in LIKE, a path's own % and _ would stand for anything.
                db.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    [here, len(there) + 1, there, len(there) + 1, f"{there}/"],
                )


def _came_along(db: sqlite3.Connection, there: str, here: str) -> bool:
    """Whether artifacts have moved; other checkouts may show theirs in the same database."""
    query = "SELECT artifact_uri FROM runs WHERE substr(artifact_uri, 1, ?) = ?"
    found = db.execute(query, [len(there) + 1, f"{there}/"]).fetchall()
    return any(_path(here + uri[len(there) :]).exists() for (uri,) in found)


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path))

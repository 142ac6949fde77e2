"""The JSON schema of params.yaml, for completion in editors: `python -m pamdp.schema` writes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pamdp.settings import Settings

FILE = "params.schema.json"


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml, for completion in editors."""
    result = Settings.model_json_schema()
    for part in (result, *result["$defs"].values()):
        _describe(part)
    return result


def schema_text() -> str:
    """The content of `params.schema.json`."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def _describe(part: dict[str, Any]) -> None:
    """Gives each key the description that the docstring of its class has."""
    summary, _, attributes = part.get("description", "").partition("\n\nAttributes:\n")
    part["description"] = summary
    for name, text in re.findall(r"^  (\w+): (.*(?:\n    .*)*)", attributes, re.MULTILINE):
        if name in part["properties"]:
            part["properties"][name]["description"] = " ".join(text.split())


if __name__ == "__main__":
    Path(FILE).write_text(schema_text())

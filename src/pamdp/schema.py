"""The JSON schema of params.yaml, for completion in editors: `python -m pamdp.schema` writes it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pamdp.inheritance import FAMILY, KEY, PACKAGE, SINGLE
from pamdp.settings import Settings
from pamdp.variants import FIELD

FILE = "params.schema.json"


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml, for completion in editors."""
    result = Settings.model_json_schema()
    for part in (result, *result["$defs"].values()):
        _describe(part)
        _require_kind(part)
    _extend(result)
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


def _require_kind(part: dict[str, Any]) -> None:
    """A file has to say the kind of a component, which Python knows by its class."""
    kind = part["properties"].get("kind", {})
    if kind.pop("default", None) is not None:
        part["required"] = ["kind", *part.get("required", ())]


def _extend(result: dict[str, Any]) -> None:
    """Allows blocks to leave out what they inherit."""
    definitions, parts = result["$defs"], dict[str, Any]()

    def partial(name: str) -> dict[str, Any]:
        if name not in parts:
            whole = definitions[name]
            parts[name] = {key: value for key, value in whole.items() if key != "required"}
            own = {key: value for key, value in whole["properties"].items() if key != "kind"}
            parts[name]["properties"] = {key: changing(value) for key, value in own.items()}
        return {"$ref": f"#/$defs/{name}Changes"}

    def changing(value: dict[str, Any]) -> dict[str, Any]:
        """What may be said of a value that is there already."""
        kept = {key: value[key] for key in ("title", "description") if key in value}
        if members := value.get("oneOf", value.get("anyOf")):
            changes = [changing(member) for member in members]
            return kept | {"anyOf": [each for c in changes for each in c.get("anyOf", [c])]}
        if "$ref" not in value:
            return value
        name = value["$ref"].rpartition("/")[2]
        if "kind" in definitions[name]["properties"]:  # which says all of itself
            return kept | {"anyOf": [{"$ref": value["$ref"]}, partial(name)]}
        return kept | partial(name)

    def extending(whole: dict[str, Any], described: str) -> dict[str, Any]:
        """A block that is whole, or says what it extends."""
        name = whole["$ref"].rpartition("/")[2]
        changes = partial(name)
        parts[name]["properties"][KEY] = {"type": "string", "description": described}
        return {"if": {"required": [KEY]}, "then": changes, "else": whole}

    told = "; what is left out here is as it is there."
    properties = result["properties"]
    blocks = properties[FAMILY]["patternProperties"]
    for pattern, whole in blocks.items():
        blocks[pattern] = extending(
            whole, f"another environment, or {PACKAGE}.{FAMILY}.<name> of the package{told}"
        )
    properties[SINGLE] = extending(properties[SINGLE], f"{PACKAGE}.{SINGLE}, of the package{told}")
    _describe_changes(definitions, partial("LearnerSettings"))
    definitions |= {f"{name}Changes": part for name, part in parts.items()}


def _describe_changes(definitions: dict[str, Any], changes: dict[str, Any]) -> None:
    """Describes what an algorithm says of the learner as changes of it are elsewhere."""
    for part in definitions.values():
        value = part["properties"].get(FIELD, {})
        if value.pop("type", None) == "object":
            del value["additionalProperties"]
            value |= changes


if __name__ == "__main__":
    Path(FILE).write_text(schema_text())

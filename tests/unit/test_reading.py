"""The file of settings is read as plain values; whatever else YAML has is one clear message."""

from __future__ import annotations

from pathlib import Path

import pytest

from pamdp import reading
from pamdp.base.errors import SettingsError
from pamdp.reading import read

TEN = ", ".join
LAUGHS = "".join(f"a{n}: &a{n} [{TEN([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
MERGES = "".join(f"a{n}: &a{n} {{<<: [{TEN([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
PLAIN = "mappings, lists, texts, numbers, booleans and null"


def refusal(path: Path, text: str | bytes) -> str:
    """What is said about a file of this text, after its name."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as error:
        read(path)
    said = str(error.value)
    assert said.count("\n") < 10
    for internal in ("Traceback", "Error(", "http", "sys.set"):
        assert internal not in said
    assert said.startswith(f"{path}: ")
    return said.removeprefix(f"{path}: ")


DEEP = "expected at most 40 mappings and lists within each other, received more"
MANY = "expected at most 100,000 values, received more in line"
DIGITS = "expected a number of at most 1000 digits, received one of"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 1000 + "]" * 1000, DEEP),
        ("\n".join(" " * depth + "a:" for depth in range(2000)), DEEP),
        ("\n- " + "[" * 41 + "]" * 41, f"{DEEP} in line 2"),
        ("a: &a [*a]", f"{DEEP} in line 1; an alias (*) within what it stands for never ends"),
        ("&a {a: *a}", DEEP),
        ("a: &a {<<: *a, b: 1}", DEEP),
        (f"a0: &a0 [1]\n{LAUGHS}", MANY),
        (f"a0: &a0 {{x: 1}}\n{MERGES}", MANY),
        ("\na: " + "9" * 5000, f"{DIGITS} 5,000 in line 2"),
        ("a: 0x" + "f" * 20000, f"{DIGITS} 20,002 in line 1"),
        ("a: 2020-01-01", f"{PLAIN}, received a date in line 1; in quotes it would be a text"),
        ("a: 2020-99-99", f"{PLAIN}, received a date in line 1"),
        ("a: !!binary aGk=", f"{PLAIN}, received !!binary in line 1"),
        ("a:\n  !!set {a, b}", f"{PLAIN}, received !!set in line 2"),
        ("a: !!omap [a: 1]", f"{PLAIN}, received !!omap in line 1"),
        ("a: !!int x", "a value that cannot be read: invalid literal for int() with base 10: 'x'"),
        ("a: !!bool x", "a value that cannot be read: 'x'"),
        ("a: !!int ''", "a value that cannot be read: string index out of range"),
        ("null: 2", "expected a name or a number as key, received 'null' in line 1"),
        ("true: 2", "expected a name or a number as key, received 'true' in line 1"),
        (
            "a: 1\n? [1]\n: 2",
            "a name or a number as key, received a list or a mapping in line 2",
        ),
        (
            "? {a: 1}\n: 2",
            "a name or a number as key, received a list or a mapping in line 1",
        ),
        ("? " + "k" * 201 + "\n: 1", "expected a key of at most 200 characters"),
        ('"a\\nb": 1', "that can be printed, received 'a\\nb' in line 1"),
        ('"\\ud800": 1', "that can be printed, received '\\ud800' in line 1"),
        ("a: *b", "found undefined alias 'b'"),
        ("<<: 1", "expected a mapping or list of mappings for merging"),
        ("a: 1\na: 2", 'found duplicate key "a"'),
        (b"a: \x00", "unacceptable character #x0000"),
        (b"a: \xe9", "unacceptable character #x00e9"),
    ],
)
def test_what_is_not_plain_is_one_message(tmp_path, text, said) -> None:
    assert said in refusal(tmp_path / "params.yaml", text)


def test_what_is_plain_is_read(tmp_path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: &a {b: [1, 2.5, x, true, null]}\nc: {<<: *a, d: '2020-01-01'}\n")
    within = [1, 2.5, "x", True, None]
    assert read(path) == {"a": {"b": within}, "c": {"b": within, "d": "2020-01-01"}}
    path.write_text("# nothing\n")
    assert read(path) is None


def test_aliases_count_as_what_they_stand_for(tmp_path, monkeypatch) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: &a [1, 2]\nb: *a\n")  # a mapping, two lists of two
    monkeypatch.setattr(reading, "NUM_VALUES", 7)
    assert read(path) == {"a": [1, 2], "b": [1, 2]}
    monkeypatch.setattr(reading, "NUM_VALUES", 6)
    assert "expected at most 6 values" in refusal(path, path.read_bytes())

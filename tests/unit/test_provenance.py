"""What is kept of a module's source, and what a digest makes of it.

Which modules are followed: test_follow.py. What of it enters a fingerprint: test_fingerprints.py.
"""

import hashlib
import itertools
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from pamdp import provenance

# Every kind of thing that is left out, or only looks like it.
SNIPPET = '''\
"""A module's docstring,

of several lines."""

from __future__ import annotations  # a comment


# A line of comment.
@decorated("# no comment", 'nor """this')  # but this
class Thing(Base):
    """What it is."""

    title: ClassVar[str] = "A thing"
    rule: ClassVar[str] = (
        "first"  # a comment within

        "second"
    )
    reference: ClassVar[str] = "here"

    size: int = 3
    """What is said of an attribute."""

    def method(self, x: float) -> str:
        """What it does."""
        größe = "äöü # no comment"  # ein Kommentar: ß

        def within() -> str:
            "Its own."
            return f"{x:.2f} # no comment {größe!r}"

        text = """kept:

        # no comment

    """  # after it
        return text + within() + \\
            "continued"  # a comment


def one_line(): "What it does."


async def other(): return [
    1,  # one

    # two follows
    2,
]
'''
KEPT = '''\
from __future__ import annotations
@decorated("# no comment", 'nor """this')
class Thing(Base):
    size: int = 3
    def method(self, x: float) -> str:
        größe = "äöü # no comment"
        def within() -> str:
            return f"{x:.2f} # no comment {größe!r}"
        text = """kept:

        # no comment

    """
        return text + within() + \\
            "continued"
def one_line():
async def other(): return [
    1,
    2,
]
'''


Code = Callable[[str], bytes]


@pytest.fixture
def code(tmp_path: Path) -> Code:
    """The code of a text, each in a file of its own."""
    numbers = itertools.count()

    def code(text: str) -> bytes:
        path = tmp_path / f"{next(numbers)}.py"
        path.write_text(text, encoding="utf-8")
        return provenance.code(path)

    return code


def test_what_is_kept_of_a_module(code) -> None:
    assert code(SNIPPET).decode() == KEPT
    assert code(KEPT.replace("one_line():\n", 'one_line(): ""\n')).decode() == KEPT


def test_it_is_the_same_in_all_versions_of_python(code) -> None:
    """This digest was computed with 3.11, 3.12 and 3.13: it is part of what is committed."""
    digest = hashlib.sha256(code(SNIPPET)).hexdigest()
    assert digest == "bd6499a886615ffe1763ffc3c1500235801f0e4030ede37c2f81251da62a87e1"


BASE = '''\
class A:
    """Doc."""

    size: int = 3

    def f(self, x):
        """Doc."""
        return x + 1  # more
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# more", "# less, or\n        # nothing"),
        ("  # more", ""),
        ('    """Doc."""\n\n    size', '    """Another\n\n    # one."""\n\n    size'),
        ('        """Doc."""\n', "        'Doc.'\n"),
        ("class A:", '"""A module."""\n\nclass A:'),
        ("class A:", "\n\n# ä ö ü\n\nclass A:"),
        ("size: int = 3\n", 'size: int = 3\n    """What it is."""\n'),
        ("size: int = 3\n", 'size: int = 3\n\n\n    title: ClassVar[str] = "A"\n'),
        ("size: int = 3\n", 'size: int = 3\n    rule: ClassVar[str] = (\n        "A"\n    )\n'),
        ("size: int = 3\n", 'size: int = 3\n    reference: ClassVar[str] = "#"  # "\n'),
        ("return x", "\n\n        return x"),
        ("return x + 1", '"no docstring, but no code either"\n        return x + 1'),
    ],
)
def test_words_for_readers_change_nothing(code, old, new) -> None:
    assert old in BASE
    assert code(BASE.replace(old, new, 1)) == code(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x + 1", "x + 2"),
        ("x + 1", "x + (1)"),
        ("size: int = 3", "size: int = 4"),
        ("size: int = 3", "size: float = 3"),
        ("size: int = 3", 'size: int = 3\n    name: ClassVar[str] = "A"'),
        ("size: int = 3", 'size: int = 3\n    subtitle: ClassVar[str] = "A"'),
        ("class A", "class B"),
        ("class A:", "@decorated\nclass A:"),
        ("return x + 1", "if x:\n            return x + 1"),
        ("return x + 1", "return x + 1; x"),
        ("return x + 1", 'return "# more"'),
        ("return x + 1", "return b'bytes'"),
        ("        return", "        None\n        return"),
        ("    def f", "    @property\n    def f"),
        ("    def f", "    async def f"),
    ],
)
def test_a_real_edit_changes_it(code, old, new) -> None:
    assert old in BASE
    assert code(BASE.replace(old, new, 1)) != code(BASE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('x = """a\n\nb"""\n', 'x = """a\nb"""\n'),
        ('x = """a\n# b\nc"""\n', 'x = """a\nc"""\n'),
        ('x = """a\n    # b"""  # c\n', 'x = """a"""  # c\n'),
        ("x = '''\n# a\n'''\n", "x = '''\n# b\n'''\n"),
        ('x = "# a"\n', 'x = "# b"\n'),
        ('x = f"""a\n\n# {y}\n"""\n', 'x = f"""a\n\n# {z}\n"""\n'),
        ("x = f'{y} # a'\n", "x = f'{y} # b'\n"),
        ("x = f'{y!r:>{w}}'\n", "x = f'{y!r:>{v}}'\n"),
        ("x = 1 + \\\n    2  # a\n", "x = 1 + \\\n    3  # a\n"),
        ('def f(): "a"; return 1\n', 'def f(): "a"; return 2\n'),
        ('é = "ü"; x = "# a"  # b\n', 'é = "ü"; x = "# c"  # b\n'),
        ("if x:\n    f()\ng()\n", "if x:\n    f()\n    g()\n"),
        ("x = (\n    'a'\n    # b\n    'c'\n)\n", "x = (\n    'a'\n    # b\n    'd'\n)\n"),
    ],
)
def test_what_only_looks_like_a_comment_is_code(code, one, other) -> None:
    assert code(one) != code(other)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("# a\n", ""),
        ("# a", ""),
        ('"""Doc."""', ""),
        ("x = 1", "x = 1\n"),
        ("x = 1  # a", "x = 1\n"),
        ('def f(): "doc"\n', "def f():\n"),
        ('def f(): "döc"; return 1  # ä\n', "def f(): ; return 1\n"),
        ('é = "ü # a"  # b\n', 'é = "ü # a"\n'),
        ("@a  # b\n@c('# d')\n\ndef f(): ...\n", "@a\n@c('# d')\ndef f(): ...\n"),
        ("if a and \\\n   b:  # c\n\n    pass\n", "if a and \\\n   b:\n    pass\n"),
        ("f(\n\n  1,  # c\n\n)\n", "f(\n  1,\n)\n"),
        ("if x:\n\t# a\n\ty = 1\n", "if x:\n\ty = 1\n"),
        ("x = 1\r\n# a\r\n\r\ny = 2\r\n", "x = 1\ny = 2\n"),
        (
            'def f():\n    def g():\n        "b"\n    "a"\n    g()\n',
            "def f():\n    def g():\n    g()\n",
        ),
    ],
)
def test_what_is_kept_by_hand(code, text, kept) -> None:
    assert code(text).decode() == kept


def test_a_file_that_was_edited_is_read_again(tmp_path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    assert provenance.code(path) == b"x = 1\n"
    path.write_text("x = 2\n")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert provenance.code(path) == b"x = 2\n"


# -- Digests ---------------------------------------------------------------------------------------


def test_a_digest_is_of_code_and_names_no_place(tmp_path, monkeypatch) -> None:
    """Of two copies elsewhere it is the same; a comment changes nothing, a number does."""
    found = []
    for number, text in enumerate(["x = 1\n", "x = 1  # a\n", "x = 2\n"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "lab_of_digests.py").write_text(text)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            provenance._located.cache_clear()
            provenance._is_installed.cache_clear()
            found.append(provenance.digest({"lab_of_digests"}))
    assert found[0] == found[1] != found[2]
    assert len({each["source"] for each in found}) == 2
    assert all(each["distributions"] == {} for each in found)


def test_what_a_users_code_imports_of_others_is_known_by_its_version(tmp_path, monkeypatch) -> None:
    (tmp_path / "lab_of_versions.py").write_text("import json\nimport numpy.random\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert provenance.follow({"lab_of_versions"}).packages == {"numpy"}
    digest = provenance.digest({"lab_of_versions"})
    assert digest["distributions"] == {"numpy": version("numpy")}


def test_data_files_of_our_packages_are_in_the_digest(monkeypatch) -> None:
    style = provenance.follow({"pamdp.reporting"}).files["pamdp.reporting/templates/page.css"]
    before, read = provenance.digest({"pamdp.reporting"}), Path.read_bytes
    monkeypatch.setattr(
        provenance.Path, "read_bytes", lambda p: read(p) + b" " * (p.resolve() == style.resolve())
    )
    assert provenance.digest({"pamdp.reporting"}) != before

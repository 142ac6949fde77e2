"""1,500 malformed settings: each is one clear message, or can be meant as it stands.

They are made of the shipped params.yaml by a generator with a seed. Most are changed after reading,
because reading takes longer than validation; the others are changed as text.
"""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from pamdp.base.errors import SettingsError
from pamdp.settings import load, validated
from tests.helpers import PARAMS, params

VALUES, TEXTS = 1400, 100
KEPT = ("platform", "goal", "hard_move_4", "sparse_platform")  # one of each kind of block

INTEGERS = [-1, 0, 1, 2, 7, 10**4, 2**31 - 1, 2**31, 2**63, 10**30, 10**400]
FLOATS = [-1.0, -0.0, 0.5, 1.5, 1e-12, 1e-13, 1e12, 1e13, 1e300, -1e300, 5e-324]
FLOATS += [float("inf"), float("-inf"), float("nan")]
ODD_TEXTS = [
    "",
    " ",
    "x",
    "1",
    "0.5",
    "null",
    "true",
    "a b",
    "../x",
    "$(rm)",
    "Ä",
    "\ud800",
    "\x00",
]
ODD_TEXTS += ["plain", "platform", "relu", "x" * 65, "x" * 300, "y" * 10**5, "a\nb", "{0}", "%s"]
OTHERS: list[Any] = [None, True, False, [], [None], [1, "a"], {}, {"a": {"b": 1}}, [[[[1]]]]]
ODD_KEYS = ["", "x", "kind", "tasks", "0", "a.b", "Ä b", "k" * 200]


class Variant(NamedTuple):
    """What was done, to what (keys from the root, and the value there), and what came of it."""

    done: str
    keys: tuple
    before: Any
    after: Any
    values: Any


def base() -> dict[str, Any]:
    """The shipped settings, with few environments and a small study."""
    values = params()
    values["environments"] = {name: values["environments"][name] for name in KEPT}
    values["study"] |= {"strategies": ["plain", "reversal", "reversal_inverting"]}
    values["study"] |= {"algorithms": ["mpdqn"], "seeds": [1, 2], "environments": [*KEPT]}
    return values


def places(value: Any, keys: tuple = ()) -> Iterator[tuple]:
    """The keys that lead to each value, leaf or branch."""
    if keys:
        yield keys
    members = value.items() if isinstance(value, dict) else ()
    members = enumerate(value) if isinstance(value, list) else members
    for key, member in members:
        yield from places(member, (*keys, key))


def at(values: Any, keys: tuple) -> Any:
    for key in keys:
        values = values[key]
    return values


def variants(number: int, seed: int) -> Iterator[Variant]:
    """So many variants; nothing but the seed decides which."""
    chance, original = random.Random(seed), base()
    known = sorted(places(original), key=str)
    leaves = [keys for keys in known if not isinstance(at(original, keys), dict | list)]
    while number:
        values = copy.deepcopy(original)
        done = chance.choice(["replace"] * 6 + ["delete", "add", "repeat", "swap"])
        keys = chance.choice(leaves if done == "replace" else known)
        before, parent = at(original, keys), at(values, keys[:-1])
        after = None
        if done == "replace":
            pool = chance.choice([INTEGERS, INTEGERS, FLOATS, FLOATS, ODD_TEXTS, OTHERS])
            parent[keys[-1]] = after = copy.deepcopy(chance.choice(pool))
        elif done == "delete":
            del parent[keys[-1]]
        elif done == "add" and isinstance(parent, dict):
            after = chance.choice(ODD_KEYS)
            parent.setdefault(after, copy.deepcopy(before))
        elif isinstance(parent, list):  # add, or repeat
            parent.append(copy.deepcopy(before))
        else:
            other = chance.choice(known)
            if other[: len(keys)] == keys or keys[: len(other)] == other:
                continue
            after = copy.deepcopy(at(original, other))
            done, parent[keys[-1]] = "swap", after
            at(values, other[:-1])[other[-1]] = copy.deepcopy(before)
        number -= 1
        yield Variant(done, keys, before, after, values)


def refusal(error: SettingsError) -> str:
    """A message of one screen, without a word of what is below."""
    text = str(error)
    assert text.count("\n") < 20, text
    assert max(map(len, text.split("\n"))) < 1000, text
    for word in ("Traceback", "pydantic", "Error(", "Value error", "Input should", "https://"):
        assert word not in text.replace("https://x", ""), text
    text.encode("utf8")
    return text


def test_each_variant_is_refused_with_the_path_or_can_be_meant() -> None:
    accepted: list[Variant] = []
    refused = 0
    for variant in variants(VALUES, seed=1):
        try:
            validated(variant.values, "params.yaml")
        except SettingsError as error:
            head, *lines = refusal(error).split("\n")
            assert head == "params.yaml is wrong:"
            for line in lines:
                assert names_a_place(line.strip(), variant.values), line
            refused += 1
        else:
            accepted.append(variant)
    wrong = [(v.done, v.keys, v.before, v.after) for v in accepted if not can_be_meant(v)]
    assert not wrong
    assert refused > 700
    # So that the rules below are used, each of them.
    assert min(Counter(variant.done for variant in accepted).values()) > 3


def names_a_place(line: str, values: Any) -> bool:
    """Whether a line begins with a path of the file, or that of a key that it lacks."""
    if re.fullmatch(r"and \d+ more", line):
        return True
    path = line.split(": ")[0]
    *parents, last = path.split(".")
    for key in parents:
        if isinstance(values, list):
            values = values[int(key)]
        elif key in values:
            values = values[key]
        else:
            return "a.b" in values or key == ""
    return isinstance(values, dict | list) and bool(last or "" in values)


# -- What is accepted ------------------------------------------------------------------------------

# What may be left out, by its last key: it has a default.
OPTIONAL = {"noise", "version", "activation", "start", "end", "episodes", "theta", "sigma", "log"}
OPTIONAL |= {"weights", "factor", "scope", "threshold", "basis", "actuators", "embedding", "size"}
OPTIONAL |= {"heads"}
OPTIONAL |= {"candidates", "twin_q", "target_noise", "parameters_every"}
OPTIONAL |= {"pruner", "sampler", "n_startup_trials"}
NULLABLE = {"n_step", "gradient_clip", "output_std", "initial_parameters"}
NULLABLE |= {"candidates", "target_noise"}
# Ranges by the last name of a key, as the settings' docstrings tell them.
SHARES = {"gamma", "tau", "theta", "beta", "start", "end", "share"}
POSITIVE = {"learning_rate", "gradient_clip", "reward_scale", "episodes", "share", "tau"}
NON_NEGATIVE = {"output_std", "noise", "sigma"}
FROM_ZERO = {"parameter", "feature", "trials", "sampler_seed", "seeds", "n_startup_trials"}


def can_be_meant(variant: Variant) -> bool:
    """Whether a reader would agree: the value is of the kind and in the range of its key."""
    keys, before, after = variant.keys, variant.before, variant.after
    if variant.done == "delete":
        # A member of a list, or all of what the study does not use.
        optional = keys[-1] in OPTIONAL or keys[0] == "comparisons"
        return isinstance(keys[-1], int) or optional or unused(keys)
    if variant.done == "add":
        # Another name of one's own: a sibling where names are free.
        return isinstance(keys[-1], int) or unused(keys) or after == "kind"  # which it has
    if variant.done == "repeat":
        return isinstance(keys[-1], int)
    return fits(keys, before, after) if variant.done == "replace" else alike(before, after)


def unused(keys: tuple) -> bool:
    return len(keys) == 2 and keys[0] in ("environments", "algorithms", "gradients")


def fits(keys: tuple, before: Any, after: Any) -> bool:
    """Whether a value may stand where another stood."""
    names = [key for key in keys if isinstance(key, str)]
    if after is None or before is None:
        return names[-1] in NULLABLE and (after is None or number(names[-1], after))
    if isinstance(before, bool) or isinstance(after, bool):
        return isinstance(before, bool) and isinstance(after, bool)
    if isinstance(before, float) or (names[-2:] == ["epsilon", "episodes"]):
        return number(names[-1], after)
    if isinstance(before, int):  # sizes too, of which setup tells whether memory holds them
        return type(after) is int and int(names[-1] not in FROM_ZERO) <= after <= 2**31 - 1
    if keys == ("study", "name"):
        return bool(re.fullmatch("[a-z][a-z0-9_]{0,63}", after))
    return isinstance(after, str) and after in ("plain", "platform", "relu")


def number(name: str, value: Any) -> bool:
    """Whether it is one that float32 holds, in the range of a key of this name."""
    low = 0 if name in SHARES | POSITIVE | NON_NEGATIVE else -1e12
    high = 1 if name in SHARES else 1e12
    zero = value == 0 and name not in POSITIVE
    return type(value) in (int, float) and low <= value <= high and (zero or abs(value) >= 1e-12)


def alike(before: Any, after: Any) -> bool:
    """Whether two values are of one kind, so that they may have changed their places."""
    if isinstance(before, dict) and isinstance(after, dict):
        return bool({*before} & {*after}) or before == after
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    return numbers or type(before) is type(after) or None in (before, after)


# -- The file as text ------------------------------------------------------------------------------


def texts(number: int, seed: int) -> Iterator[bytes]:
    """The shipped file, broken at one place."""
    chance, original = random.Random(seed), PARAMS.read_bytes()
    odd = [b"{", b"[", b"]", b'"', b"'", b": ", b"- ", b"&a ", b"*a ", b"!!set ", b"\t", b"\x00"]
    odd += [b"\xff", b"\xe2\x82", b"\n---\n", b"%", b"@", b"`", b"|", b">", b"<<: 1\n", b"? "]
    for _ in range(number):
        cut = chance.randrange(len(original))
        done = chance.randrange(4)
        if done == 0:
            yield original[:cut]
        elif done == 1:
            yield original[:cut] + chance.choice(odd) + original[cut:]
        elif done == 2:
            yield original[:cut] + original[cut + chance.randrange(1, 40) :]
        else:
            lines = original.split(b"\n")
            line = chance.randrange(len(lines))
            yield b"\n".join([*lines[: line + 1], b" " + lines[line], *lines[line + 1 :]])


def test_a_broken_file_is_one_message_or_still_right(tmp_path) -> None:
    path, accepted, said = tmp_path / "params.yaml", 0, []
    for text in texts(TEXTS, seed=2):
        path.write_bytes(text)
        try:
            load(path)
            accepted += 1  # broken within a comment, or a number changed to another
        except SettingsError as error:
            said.append(refusal(error))
    assert accepted < TEXTS / 2
    assert all(text.startswith(str(path)) for text in said)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_generator_is_a_function_of_its_seed(seed) -> None:
    first, again = ([repr(v) for v in variants(50, seed)] for _ in range(2))
    assert first == again
    assert first != [repr(v) for v in variants(50, seed + 1)]

"""Which processors give the published bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pamdp import foresight
from pamdp.base import processor
from pamdp.base.processor import KNOWN


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What is said of a machine, whose flags stand in a file as Linux writes it."""

    def of(machine: str, flags: str | None) -> str:
        path = tmp_path / "cpuinfo"
        path.unlink(missing_ok=True)
        if flags is not None:
            path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nvmx flags\t: x\n")
        monkeypatch.setattr(processor, "FLAGS", path)
        monkeypatch.setattr(processor.platform, "machine", lambda: machine)
        return processor.processor()

    return of


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "avx avx2 fma avx512f avx512cd", KNOWN),
        ("AMD64", "fma avx2 avx512f", KNOWN),
        ("x86_64", "sse4_2 avx avx2 fma", "x86-64 without AVX-512"),
        ("x86_64", "sse4_2", "x86-64 without AVX-512 and AVX2 and FMA"),
        ("x86_64", None, "x86-64 without AVX-512 and AVX2 and FMA"),
        ("aarch64", None, "aarch64"),
    ],
)
def test_kinds_of_processors(told, machine, flags, expected) -> None:
    assert told(machine, flags) == expected


ORDER = "--xla_cpu_enable_concurrency_optimized_scheduler"


@pytest.mark.parametrize(
    ("machine", "given", "added"),
    [
        ("aarch64", "--xla_dump_to=x", f" {ORDER}=false"),
        ("x86_64", "--xla_dump_to=x", f" --xla_cpu_max_isa=AVX2 {ORDER}=false"),
        ("x86_64", f"{ORDER}=true", " --xla_cpu_max_isa=AVX2"),
        ("x86_64", "--xla_cpu_max_isa=AVX", f" {ORDER}=false"),
    ],
)
def test_flags_of_a_user_are_kept_and_added_to(monkeypatch, machine, given, added) -> None:
    monkeypatch.setenv("XLA_FLAGS", given)
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    for _ in range(2):  # once
        processor.prepare_xla()
        assert os.environ["XLA_FLAGS"] == given + added


def test_what_has_no_flags_is_given_those_of_ours(monkeypatch) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    processor.prepare_xla()
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_max_isa=AVX2 {ORDER}=false"


def test_other_instructions_that_a_user_chooses_are_named(told, monkeypatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX")
    assert told("x86_64", "avx2 fma") == (
        "x86-64 with other instructions (XLA_FLAGS=--xla_cpu_max_isa=AVX)"
    )


def test_compiled_programs_are_kept_apart_by_what_they_depend_on(told, monkeypatch) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    places = set()
    for flags, variable in (("avx2 fma", None), ("avx2 fma avx512f", None), ("avx2 fma", "-x")):
        told("x86_64", flags)
        monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
        if variable:
            monkeypatch.setenv("XLA_FLAGS", variable)
        processor.keep_programs(Path("/a b"))
        places.add(os.environ["TF_XLA_FLAGS"])
    assert len(places) == 3
    assert all("'/a b/xla-" in place for place in places)


def test_setup_names_one_on_which_results_are_not_known(monkeypatch) -> None:
    monkeypatch.setattr(foresight, "processor", lambda: "aarch64")
    assert foresight.remark_on_processor() == [
        "this processor is aarch64: results are not known to be the same as on x86-64 with "
        "AVX-512, on which all published ones were computed"
    ]
    monkeypatch.setattr(foresight, "processor", lambda: KNOWN)
    assert foresight.remark_on_processor() == []

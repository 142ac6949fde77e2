"""Compiled programs are found again, whoever traced them and whatever was done before and after."""

import subprocess
import sys

from pamdp.loops import CompiledLoop, Program
from tests.helpers import ROOT, cell

# Prints the name of the program that evaluates a cell.
NAME = """
import sys
from pamdp.lazy import tf
from pamdp.loops import CompiledLoop
from pamdp.programs import Program, learner_of
from tests.helpers import cell

loop = CompiledLoop(cell("mpdqn", sys.argv[1]))
loop.prepare(20)
forward, number = loop.cell.forward, tf.TensorSpec([], tf.int32)
program = Program.of(forward)
weights = learner_of(forward).evaluated(program.like)
values = Program.inputs(forward)
traced = program.evaluate.get_concrete_function(values, weights, number, number, 20)
assert program.traces == {"evaluate": 1}
print(traced.name.decode())
"""


def name(strategy: str) -> str:
    command = [sys.executable, "-c", NAME, strategy]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_cells_share_the_program_that_evaluates_them() -> None:
    # The name is part of what the compilation cache looks for.
    assert name("plain") == name("reversal") != ""


def test_training_uses_what_was_prepared() -> None:
    loop = CompiledLoop(cell("mpdqn", "selective"))
    loop.prepare(20)
    state = loop.run(loop.initial(1), 20)
    loop.evaluate(loop.weights(state), 1, 20, 20)
    assert loop.program.traces == {"start": 1, "run": 1}
    assert Program.of(loop.cell.forward).traces == {"evaluate": 1}

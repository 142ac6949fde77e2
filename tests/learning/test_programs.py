"""What one process has compiled another one finds, and training compiles nothing else."""

import subprocess
import sys
from pathlib import Path

from pamdp.loops import CompiledLoop, Program
from tests.helpers import ROOT, cell

# Prints the names of the programs that evaluate and train a cell: the compilation cache finds a
# program under its name. Prepared as the stage `train` does it, or in a folder as `tune` does.
NAMES = """
import sys
from pathlib import Path
from pamdp.lazy import tf
from pamdp.loops import CompiledLoop
from pamdp.programs import Program
from tests.helpers import cell, settings

names = {}
count = Program._count

def traced(self, name):
    count(self, name)
    names[name] = self

Program._count = traced
subject, folder = cell("mpdqn", sys.argv[1]), sys.argv[2:]
if folder:
    from pamdp.tuning import CellStudy

    study = settings()
    training = study.environments["platform"].training
    CellStudy(subject, study.tuning, training, "mark", Path(folder[0])).prepare()
else:
    CompiledLoop(subject).prepare(100)
for name, program in names.items():
    (traced,) = getattr(program, name)._list_all_concrete_functions()
    print(traced.name.decode())
"""


def names(strategy: str, *folder: Path) -> list[str]:
    command = [sys.executable, "-c", NAMES, strategy, *map(str, folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def test_training_finds_what_tuning_has_compiled(tmp_path) -> None:
    evaluate, start, run = names("reversal")
    assert [evaluate, start, run] == names("reversal", tmp_path)
    assert "run" in run
    # And cells share the program that evaluates them.
    assert names("plain")[0] == evaluate != ""


def test_training_uses_what_was_prepared() -> None:
    loop = CompiledLoop(cell("mpdqn", "selective", learner__batch_size=17))
    loop.prepare(20)
    state = loop.run(loop.initial(1), 20)
    loop.evaluate(loop.weights(state), 1, 20, 20)
    assert loop.program.traces == {"start": 1, "run": 1}
    assert Program.of(loop.cell.forward).traces == {"evaluate": 1}

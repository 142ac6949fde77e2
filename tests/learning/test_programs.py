"""What one process has compiled another one finds, and training compiles nothing else."""

import subprocess
import sys
from pathlib import Path

from pamdp.engines.threads import Threads
from pamdp.learning.compiled import CompiledLoop, CompiledPrograms
from pamdp.learning.training import Training, train
from tests.helpers import ROOT, cell

# Prints the names of the programs that a stage prepares for a cell, up to where its work begins:
# the compilation cache finds a program under its name.
NAMES = """
import importlib
import sys
from pathlib import Path
from pamdp.base.calls import Programs
from pamdp.checkout import Checkout
from pamdp.files import write_json
from pamdp.learning.compiled import CompiledLoop
from pamdp.stages import results
from tests.helpers import settings

class Begun(Exception):
    pass

def begin(*arguments):
    raise Begun

names = {}
count = Programs.count

def traced(self, name):
    count(self, name)
    names[name] = self

Programs.count = traced
name, verb, root = sys.argv[1:]
checkout = Checkout(settings(), Path(root))
environment, algorithm, strategy = checkout.settings.cell(name).name
for fact in (
    f"algorithms/{algorithm}",
    f"code/{verb}",
    f"environments/{environment}",
    f"strategies/{strategy}",
    "versions",
):
    write_json(checkout.setup / f"{fact}.json", {})
write_json(checkout.tune(name) / "best.json", {"values": {"learner.q.learning_rate": 5e-4}})
results.digest = lambda modules: {}  # the facts are invented
results.versions = dict
results.checked_fact = lambda *_: {"versions": {}}
module = {"tune": "search", "train": "train"}[verb]
stage = importlib.import_module(f"pamdp.stages.{module}")
CompiledLoop.initial = begin
try:
    if verb == "tune":
        stage.tune_cell(checkout, name, checkout.tune(name))
    else:
        stage.train_cell(checkout, name, checkout.tune(name), checkout.train(name))
except Begun:
    pass
for name, programs in names.items():
    (traced,) = getattr(programs, name)._traced._list_all_concrete_functions()
    print(traced.name.decode())
"""


def names(cell: str, verb: str, root: Path) -> list[str]:
    command = [sys.executable, "-c", NAMES, cell, verb, str(root)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


def test_training_finds_what_tuning_has_compiled(tmp_path) -> None:
    evaluate, start, run = names("platform-mpdqn-reversal", "train", tmp_path)
    assert [evaluate, start, run] == names("platform-mpdqn-reversal", "tune", tmp_path)
    assert "run" in run
    # And cells share the program that evaluates them.
    assert names("platform-mpdqn-plain", "train", tmp_path)[0] == evaluate != ""


def test_training_uses_what_was_prepared() -> None:
    loop = CompiledLoop(cell("mpdqn", "selective", learner__batch_size=17))
    loop.prepare(20)
    state = loop.run(loop.initial(1), 20)
    loop.evaluate(loop.weights(state), 1, 20, 20)
    assert loop.programs.traces == {"start": 1, "run": 1}
    assert CompiledPrograms.of(loop.cell.forward).traces == {"evaluate": 1}


def test_tasks_of_several_structures_trace_each_once() -> None:
    """As trials of a search do it; they come to it at the same time."""
    cells = [cell("mpdqn", "plain", learner__q__hidden=[width]) for width in (21, 22)]
    training = Training(steps=20, report_every=10, evaluation_episodes=7)
    with Threads(4) as engine:
        engine.map(train, [(each, seed, training) for seed in (1, 2) for each in cells])
    for each in cells:
        assert CompiledPrograms.of(each).traces == {"start": 1, "run": 1}
        assert CompiledPrograms.of(each.forward).traces == {"evaluate": 1}

"""A checkout of a study: its settings, and where its files stand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pamdp.settings import Settings, load


@dataclass(frozen=True)
class Checkout:
    """A folder with params.yaml, and with what the stages have made of it.

    Attributes:
      settings: of the study.
      root: the folder.
    """

    settings: Settings
    root: Path

    @classmethod
    def here(cls) -> Checkout:
        """The one that the process stands in.

        Raises:
          SettingsError: there is no params.yaml, or it is wrong.
        """
        return cls(load(Path("params.yaml")), Path.cwd())

    @property
    def metrics(self) -> Path:
        """The folder of all results but models."""
        return self.root / "metrics"

    @property
    def setup(self) -> Path:
        """What `setup` found out."""
        return self.metrics / "setup"

    def tune(self, cell: object) -> Path:
        """What the search of a cell gave."""
        return self.metrics / "tune" / str(cell)

    def train(self, cell: object) -> Path:
        """What the training of a cell gave."""
        return self.metrics / "train" / str(cell)

    @property
    def evaluate(self) -> Path:
        """What the evaluation of all cells gave."""
        return self.metrics / "evaluate"

    @property
    def report(self) -> Path:
        """The report."""
        return self.metrics / "report"

    @property
    def results(self) -> Path:
        """What of the report git keeps: its text, its main figures, and what they are of."""
        return self.root / "results"

    @property
    def times(self) -> Path:
        """How long the cells have taken; git keeps it, and it is no output of any stage."""
        return self.root / "times.json"

    def model(self, cell: object) -> Path:
        """The exported model of a cell."""
        return self.root / "models" / str(cell)

    @property
    def work(self) -> Path:
        """Caches, and what can be resumed; no output of any stage."""
        return self.root / ".work"

    @property
    def ahead(self) -> Path:
        """Results of cells, from which stages take theirs; no output of any stage."""
        return self.work / "ahead"

    @property
    def live(self) -> Path:
        """What is shown of trainings under way; no output of any stage."""
        return self.root / "live"

    @property
    def lock(self) -> Path:
        """What DVC knows of all stages."""
        return self.root / "dvc.lock"

    @property
    def kept_lock(self) -> Path:
        """A copy of it while a study runs, and after one that was killed."""
        return self.work / "dvc.lock"

    def checkpoints(self, cell: object) -> Path:
        """The checkpoints of a cell's training, in a folder for each fingerprint."""
        return self.work / "train" / str(cell)

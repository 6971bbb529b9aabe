"""One attempt at a job: what its stages hand to each other."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig

from fer_lightning.process.first_process import is_first
from fer_lightning.runs.result import write_result
from fer_lightning.training.progress_bar import ProgressBar


@dataclass(kw_only=True)
class Attempt:
    """cfg, folder, job, name, group, shared, bar: as `train` takes them
    previous:   what result.json holds of an earlier, unfinished attempt; None if there is none to continue
    accumulate: how many parts a batch of the config is split into, whose gradients are accumulated
    began:      the start by time.perf_counter, less the seconds that earlier attempts took
    record:     what result.json holds of this attempt
    loggers:    {name in the config: logger}, on the first process only
    callbacks:  the user's own, which stay for all phases
    """

    cfg: DictConfig
    folder: Path
    job: dict
    name: str
    group: str
    shared: Path | None = None
    bar: bool = False
    previous: dict | None = None
    accumulate: int = 1
    began: float = field(default_factory=time.perf_counter)
    record: dict = field(default_factory=dict)
    loggers: dict = field(default_factory=dict)
    callbacks: list = field(default_factory=list)

    def write(self, **entries):
        """Add entries to the record and write result.json."""
        self.record |= entries
        write_result(self.folder, self.record)

    @property
    def bars(self):
        """The progress bar of a trainer, as a list of callbacks; only the first process shows one."""
        return [ProgressBar()] if self.bar and is_first() else []

    @property
    def seconds(self):
        """How long the job has taken so far."""
        return time.perf_counter() - self.began

    @property
    def precision(self):
        """Of the run, in Lightning's terms."""
        return self.record["environment"]["precision"]

"""`hydra/launcher=shared`: jobs that share a frozen backbone run side by side, and its features are computed once for all."""

from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher


class SharedLauncher(Launcher):
    """processes: how many jobs at a time, each of one thread; null: as many as this process has threads

    Of the jobs that share, one computes features with all threads while the others wait (training/feature_table.py). Jobs that share
    with no other run first, one after the other.
    """

    def __init__(self, processes=None):
        self.processes = processes

    def setup(self, *, hydra_context, task_function, config):
        self.hydra_args = {"hydra_context": hydra_context, "task_function": task_function, "config": config}

    def launch(self, job_overrides, initial_job_idx):
        from fer_lightning.sweep.shared_launcher import run_jobs  # torch

        return run_jobs(self.hydra_args, [list(overrides) for overrides in job_overrides], initial_job_idx, self.processes)


ConfigStore.instance().store(
    group="hydra/launcher",
    name="shared",
    node={"_target_": "hydra_plugins.fer_lightning.shared_launcher.SharedLauncher", "processes": None},
    provider="fer_lightning",
)

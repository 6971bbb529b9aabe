"""`hydra/sweeper=optuna`: search the swept keys with Optuna. The same command continues an interrupted search."""

import logging
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from fer_lightning.process.errors import UserError
from fer_lightning.sweep.lock import locked

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """n_trials: in all, those of earlier commands included
    n_jobs:   trials at a time; they start together, and the next ones when all of them have ended
    sampler:  makes an Optuna sampler of a seed
    seed:     of the search; trial k is drawn with seed + k, so it does not matter when a search was interrupted
    params:   of a study file, as for Hydra's own sweeper
    """

    def __init__(self, *, n_trials, n_jobs, sampler, seed, params=None):
        self.n_trials, self.n_jobs, self.sampler, self.seed = n_trials, n_jobs, sampler, seed
        self.params = params

    def setup(self, *, hydra_context, task_function, config):
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(config=config, hydra_context=hydra_context, task_function=task_function)

    def sweep(self, arguments):
        from fer_lightning.sweep.overrides import with_params
        from fer_lightning.sweep.search import Search  # torch and optuna: seconds that other commands do without

        folder = Path(self.config.hydra.sweep.dir)
        launched = 0
        with locked(folder) as ours:
            if not ours:  # each would take the other's trials for those of a process that died
                raise UserError(f"Another process searches in {folder}. Wait for it, or stop it.")
            search = Search(with_params(self.params, arguments), folder, self.config.monitor)
            while trials := search.next(max(0, min(self.n_jobs, self.n_trials - search.settled())), self._sampler):
                jobs = {self._folder(job): job for trial in trials for job in search.jobs(trial)}  # equal trials share their jobs
                log.info("%s of %d", ", ".join(f"trial {trial.number + 1}" for trial in trials), self.n_trials)
                try:
                    self.launcher.launch(list(jobs.values()), initial_job_idx=launched)
                finally:
                    settled = [search.settle(trial, [self._folder(job) for job in search.jobs(trial)]) for trial in trials]
                if not all(settled):
                    raise UserError("A trial ended without a result. The same command continues it.")
                launched += len(jobs)

    def _sampler(self, number):
        return self.sampler(seed=self.seed + number)

    def _folder(self, overrides):
        """The run folder of a job. Composing it finds what is wrong with it before it starts."""
        sweep = self.hydra_context.config_loader.load_sweep_config(self.config, overrides).hydra.sweep
        return Path(sweep.dir) / sweep.subdir

"""A search as an Optuna study: the space that the overrides span, which trials come next, and how they ended, read from run folders."""

from statistics import mean

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.result import read_result
from fer_lightning.runs.scores import direction
from fer_lightning.runs.steps import read_steps
from fer_lightning.sweep.overrides import parse

STORAGE = "search.db"

GOALS = {"max": "maximize", "min": "minimize"}


class Search:
    """overrides: of a study file and the command. The swept ones span the space; `seed` repeats a trial, which then has the mean score
    folder:    of the sweep, which exists
    monitor:   the score that selects an epoch and that the search optimizes
    """

    def __init__(self, overrides, folder, monitor):
        last = {override.get_key_element(): override for override in parse(overrides)}  # the command line comes last and wins
        swept = {key: override for key, override in last.items() if override.is_sweep_override()}
        self.seeds = [f"seed={seed}" for seed in swept.pop("seed").sweep_string_iterator()] if "seed" in swept else []
        self.fixed = [override.input_line for key, override in last.items() if key not in swept and not override.is_sweep_override()]
        self.space = {key: distribution(override) for key, override in swept.items()}
        if not self.space:
            raise ConfigError("Nothing to search: give a key several values, such as 'optimizer.lr=tag(log,interval(1e-3,1))'.")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = f"sqlite:///{(folder / STORAGE).absolute()}"
        self.study = optuna.create_study(
            storage=storage, study_name="search", direction=GOALS[direction("monitor", monitor)], load_if_exists=True
        )

    def settled(self):
        """How many trials have ended, well or not."""
        return len(self._trials(TrialState.COMPLETE, TrialState.FAIL))

    def next(self, count, sampler):
        """Up to `count` trials to run: first those that an earlier command began and did not end.

        sampler: makes the sampler of a trial from its number
        """
        trials = self._trials(TrialState.RUNNING)[:count]
        while len(trials) < count:
            self.study.sampler = sampler(len(self.study.trials))
            try:
                number = self.study.ask(self.space).number
            except ValueError as error:  # Optuna's error for a choice that was not there before
                raise ConfigError(
                    f"The choices of a key are not those with which this search began: {error} "
                    "Choose another folder with hydra.sweep.dir=multirun/NAME."
                ) from error
            trials.append(self.study.trials[number])
        return trials

    def _trials(self, *states):
        """Without those that a process left incomplete when it ended."""
        return [trial for trial in self.study.get_trials(deepcopy=False, states=states) if trial.params.keys() == self.space.keys()]

    def jobs(self, trial):
        """The overrides of each job of a trial."""
        overrides = [*self.fixed, *(f"{key}={value}" for key, value in trial.params.items())]
        return [[*overrides, seed] for seed in self.seeds] or [overrides]

    def settle(self, trial, folders):
        """Tell Optuna how a trial ended. Returns False if it has not: some of its jobs were interrupted or lost."""
        results = [read_result(folder) or {"status": "lost"} for folder in folders]
        ended = {result["status"] for result in results}
        if ended == {"done"}:
            if results[0]["selected"]["monitor"] is None:
                raise ConfigError("This protocol has no validation part, so a search has no score to optimize.")
            values = [result["selected"]["value"] for result in results]
            if None not in values and not any(map(diverged, folders)):
                self.study.tell(trial.number, mean(values))
                return True
        elif ended & {"running", "interrupted", "lost"}:
            return False
        self.study.tell(trial.number, state=TrialState.FAIL)
        return True


def diverged(folder):
    """Whether the loss or the gradient of a run became NaN or infinite. A run that only ends badly has a score to learn from."""
    return not np.isfinite(read_steps(folder)[["loss", "grad_norm"]]).all(axis=None)


def distribution(override):
    """The distribution of a swept override: 1,2 and glob(*) are choices, range() and interval() are numbers."""
    value = override.value()
    if override.is_interval_sweep():
        kind = IntDistribution if isinstance(value.start, int) else FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)
    choices = list(override.sweep_string_iterator())
    if not override.is_range_sweep():
        return CategoricalDistribution(choices)
    integers = all(isinstance(part, int) for part in (value.start, value.step))
    kind, number = (IntDistribution, int) if integers else (FloatDistribution, float)
    numbers = sorted(number(choice) for choice in choices)
    return kind(numbers[0], numbers[-1], step=abs(value.step))

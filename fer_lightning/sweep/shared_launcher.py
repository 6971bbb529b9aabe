"""In which process the jobs of a sweep run where some share a frozen backbone."""

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from omegaconf import OmegaConf

from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.sweep.callback import BEHIND
from fer_lightning.sweep.overrides import parse
from fer_lightning.training.frozen_features import compute_on_one_thread

RESOLVERS = "omegaconf_resolvers"


def launch(sweep, jobs, first, processes=None):
    """Run jobs, and return what Hydra's own launcher returns of them, in their order.

    sweep:     what Hydra sets a launcher up with: hydra_context, task_function, config
    jobs:      a list of overrides for each; first: the number of the first one
    processes: for those that share, each of one thread; None: as many as the threads of this one
    """
    if processes is not None and processes < 1:
        raise ConfigError(f"hydra.launcher.processes={processes}: give a whole number, 1 or more, or null.")
    sharing = find_sharing(sweep, jobs)
    if not sharing:
        return _run(sweep, jobs, first)
    done = {place: _run(sweep, [job], first + place)[0] for place, job in enumerate(jobs) if place not in sharing}
    workers = min(processes or torch.get_num_threads(), len(sharing))
    # A fresh interpreter: one that is forked inherits threads that do not run and a GPU that it may not use.
    start = multiprocessing.get_context("spawn")
    # Resolvers are functions inside functions, which do not travel; the task's module registers them where it is imported.
    state = {key: value for key, value in Singleton.get_state().items() if key != RESOLVERS}
    with ProcessPoolExecutor(workers, start, initializer=_begin, initargs=(state, start.Event())) as pool:
        waiting = {place: pool.submit(_run_elsewhere, sweep, [jobs[place]], first + place) for place in sharing}
        try:
            done |= {place: future.result()[0] for place, future in waiting.items()}
        except BrokenProcessPool as error:
            raise UserError(
                "A process that ran a job was killed, as happens where memory runs out. Give the same command again, with fewer "
                "hydra.launcher.processes: what is done is kept."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[place] for place in range(len(jobs))]


def find_sharing(sweep, jobs):
    """Places of the jobs that differ from another one behind its frozen backbone only, in ascending order."""
    groups = {}
    for place, job in enumerate(jobs):
        before = tuple(override.input_line for override in parse(job) if override.key_or_group.split(".")[0] not in BEHIND)
        groups.setdefault(before, []).append(place)
    return sorted(place for group in groups.values() if len(group) > 1 and _stands_still(sweep, jobs[group[0]]) for place in group)


def _stands_still(sweep, job):
    """Whether the backbone of a job is frozen from the first epoch to the last."""
    config = sweep["hydra_context"].config_loader.load_sweep_config(sweep["config"], job)
    return OmegaConf.select(config, "backbone.freeze") == "all" and not config.phases


def _run(sweep, jobs, first):
    launcher = BasicLauncher()
    launcher.setup(**sweep)
    return launcher.launch(jobs, initial_job_idx=first)


def _run_elsewhere(sweep, jobs, first):
    """In a process of the pool, which has taken some jobs before it can be told that the sweep is to end."""
    if _stop.is_set():
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(sweep, jobs, first)
    except BaseException:  # an interruption, or data that no job can run on; all else is recorded and passed over
        _stop.set()
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _begin(state, stop):
    """Begin a process: with what Hydra holds once for each. stop: an event, set when the sweep is to end."""
    global _stop
    _stop = stop
    compute_on_one_thread()  # two processes of two threads on two cores would wait for each other
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; it is for those that run a job
    setup_globals()
    Singleton.set_state(state | {RESOLVERS: Singleton.get_state()[RESOLVERS]})

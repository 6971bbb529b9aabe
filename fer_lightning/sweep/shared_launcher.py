"""Jobs that share a frozen backbone run side by side, each in a process of its own; all others run one after the other."""

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
from fer_lightning.process.orphans import end_with_parent
from fer_lightning.sweep.announcement import BEHIND
from fer_lightning.sweep.job import GRACE
from fer_lightning.sweep.overrides import parse
from fer_lightning.training.feature_table import compute_on_one_thread

RESOLVERS = "omegaconf_resolvers"


def run_jobs(hydra_args, jobs, first, processes=None):
    """Run jobs, and return what Hydra's own launcher returns of them, in their order.

    hydra_args: what Hydra gives to the setup of a launcher: hydra_context, task_function, config
    jobs:       a list of overrides for each; first: the number of the first one
    processes:  for the jobs that share, each of one thread; None: as many as this process has threads
    """
    if processes is not None and processes < 1:
        raise ConfigError(f"hydra.launcher.processes={processes}: give an integer, 1 or more, or null.")
    sharing = find_sharing(hydra_args, jobs)
    if not sharing:
        return _run(hydra_args, jobs, first)
    done = {place: _run(hydra_args, [job], first + place)[0] for place, job in enumerate(jobs) if place not in sharing}
    workers = min(processes or torch.get_num_threads(), len(sharing))
    # A fresh interpreter: a forked one inherits threads that do not run and a GPU that it must not use.
    start = multiprocessing.get_context("spawn")
    stop = start.Event()
    # Resolvers are local functions, which cannot be pickled; each process registers its own when it imports this module.
    state = {key: value for key, value in Singleton.get_state().items() if key != RESOLVERS}
    with ProcessPoolExecutor(workers, start, initializer=_begin, initargs=(state, stop)) as pool:
        waiting = {place: pool.submit(_run_elsewhere, hydra_args, [jobs[place]], first + place) for place in sharing}
        try:
            done |= {place: future.result()[0] for place, future in waiting.items()}
        except BrokenProcessPool as error:
            raise UserError(
                "A process that ran a job was killed, usually because memory ran out. Give the same command again, with fewer "
                "hydra.launcher.processes; finished jobs are kept."
            ) from error
        except BaseException:
            stop.set()  # a scheduler may signal this process alone
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[place] for place in range(len(jobs))]


def find_sharing(hydra_args, jobs):
    """Places of the jobs that differ from another job only behind a frozen backbone, in ascending order."""
    groups = {}
    for place, job in enumerate(jobs):
        before = tuple(override.input_line for override in parse(job) if override.key_or_group.split(".")[0] not in BEHIND)
        groups.setdefault(before, []).append(place)
    return sorted(place for group in groups.values() if len(group) > 1 and _is_frozen(hydra_args, jobs[group[0]]) for place in group)


def _is_frozen(hydra_args, job):
    """Whether the backbone of a job is frozen from the first epoch to the last."""
    config = hydra_args["hydra_context"].config_loader.load_sweep_config(hydra_args["config"], job)
    return OmegaConf.select(config, "backbone.freeze") == "all" and not config.phases


def _run(hydra_args, jobs, first):
    launcher = BasicLauncher()
    launcher.setup(**hydra_args)
    return launcher.launch(jobs, initial_job_idx=first)


def _run_elsewhere(hydra_args, jobs, first):
    """In a process of the pool, which may have taken more jobs before it learns that the sweep is to end."""
    if _stop.is_set():
        raise KeyboardInterrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(hydra_args, jobs, first)
    except BaseException:  # an interruption, or data that no job can run on; after any other failure the sweep continues
        _stop.set()
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _begin(state, stop):
    """Begin a process. state: the singletons of Hydra; stop: an event, set when the sweep is to end."""
    global _stop
    _stop = stop
    end_with_parent(GRACE, stop)
    compute_on_one_thread()  # two processes of two threads on two cores would wait for each other
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; only those that run a job obey
    setup_globals()
    Singleton.set_state(state | {RESOLVERS: Singleton.get_state()[RESOLVERS]})

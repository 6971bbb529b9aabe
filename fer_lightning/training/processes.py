"""A job in this process or in several on this machine, which are started here, receive every signal, and end together.

Lightning's own launcher runs the command again in each process, and so a sweep with all of its jobs. Here the command stays one
process and starts others for each job, which end with their job.
"""

import logging.config
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import contextmanager
from multiprocessing import connection
from pathlib import Path

import torch
import torch.distributed as dist
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from fer_lightning.config.error_messages import root_cause
from fer_lightning.config.targets import build
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.process.orphans import end_with_parent
from fer_lightning.process.signals import Interrupted, listening
from fer_lightning.runs.result import read_result
from fer_lightning.training.quieten import quieten
from fer_lightning.training.train import train

GRACE = 5  # seconds that the other processes have to notice that one has ended, and again to obey
LAST_GRACE = 2  # after a second signal
POLL_S = 0.5


def launch(cfg, folder, job, logs, **kwargs):
    """Run `fer_lightning.training.train.train` in this process, or in one process per device. Returns what result.json then holds.

    logs:   the logging config of the first of several processes
    kwargs: for `train`

    Raises what the first process to fail raised, and UserError if one was killed.
    """
    count = processes(cfg)
    if not count:
        return train(cfg, folder, job, **kwargs)
    with tempfile.TemporaryDirectory() as meeting:
        # Each process computes features of other images, so the tables of a frozen backbone cannot be shared with other jobs.
        arguments = (count, Path(meeting), logs, (cfg, folder, job), kwargs | {"shared": None})
        ranks = torch.multiprocessing.start_processes(_rank, arguments, count, join=False).processes
        with _passing_on_signals(ranks) as passed:
            try:
                while not any(p.exitcode for p in ranks) and (running := [p.sentinel for p in ranks if p.is_alive()]):
                    connection.wait(running, POLL_S)
                    if len(passed) > 1:  # the second signal ends all at once
                        break
                codes = [p.exitcode for p in ranks]
            finally:
                _end(ranks, at_once=len(passed) > 1)
        if any(code != 0 for code in codes):
            raise _reason(codes, Path(meeting), passed)
    return read_result(folder)


def processes(cfg):
    """How many processes to start for a job; 0: this one is enough. ConfigError if the job cannot be divided among them."""
    if "LOCAL_RANK" in os.environ:
        raise ConfigError("LOCAL_RANK is set: run the command as it is, without torchrun; it starts the processes of a job itself.")
    accelerator, devices = (f"trainer.{key}={cfg.trainer.get(key, 'auto')}" for key in ("accelerator", "devices"))
    quieten()
    try:
        trainer = build(cfg.trainer, "trainer", logger=False, plugins=LightningEnvironment())
    except Exception as error:
        reason = str(root_cause(error)).strip().splitlines()[0]
        raise ConfigError(f"{accelerator}, {devices}, trainer.strategy={cfg.trainer.get('strategy', 'auto')}: {reason}") from error
    count = trainer.num_devices
    if trainer.num_nodes > 1:
        raise ConfigError(f"trainer.num_nodes={trainer.num_nodes}: a job runs on one machine; spread the jobs of a sweep over several.")
    if isinstance(trainer.strategy, SingleDeviceStrategy):
        return 0
    if not isinstance(trainer.accelerator, (CPUAccelerator, CUDAAccelerator)):
        raise ConfigError(f"{devices}: several processes need NVIDIA GPUs or trainer.accelerator=cpu.")
    if not isinstance(trainer.strategy, DDPStrategy) or trainer.strategy._start_method != "popen":
        raise ConfigError(f"trainer.strategy={cfg.trainer.strategy}: several processes train with ddp or ddp_find_unused_parameters_true.")
    for key in ("batch_size", "eval_batch_size"):
        if cfg[key] % count or cfg[key] < 2 * count:
            wanted = f"a multiple of {count}, {2 * count} or more"
            raise ConfigError(f"{key}={cfg[key]} is of all processes together: with {devices} give {wanted}.")
    if cfg.trainer.get("sync_batchnorm") and isinstance(trainer.accelerator, CPUAccelerator):
        raise ConfigError("trainer.sync_batchnorm=true: torch synchronises batch norm on GPUs only; leave it false on a CPU.")
    return count


def _rank(rank, count, meeting, logs, arguments, kwargs):
    """The main function of a process of the job."""
    # A process group of its own: Ctrl-C reaches only the command, which passes it on once.
    os.setpgrp()
    end_with_parent(GRACE)
    os.environ["LOCAL_RANK"] = str(rank)  # tells Lightning that the processes exist, and `first_only` which one writes
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    if rank == 0:
        logging.config.dictConfig(logs)
    else:
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
    try:
        # A file, because another job could take a port. Both backends: scores are gathered on any device.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, init_method=f"file://{meeting}/group", rank=rank, world_size=count)
        train(*arguments, **kwargs)
    except BaseException as error:
        (meeting / f"error-{rank}").write_bytes(_portable(error))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # without exit handlers, which may wait for the other processes
    dist.destroy_process_group()


def _portable(error):
    """The error as bytes, with its traceback as a note, for the command to raise."""
    cause = root_cause(error)
    if isinstance(cause, UserError):
        return pickle.dumps(cause)
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(portable := pickle.dumps(error))
        return portable
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}\n{error.__notes__[-1]}"))


def _reason(codes, meeting, passed):
    """Why a job ended early, as an exception. codes: exit codes when the first process failed; passed: signals that were passed on."""
    if passed:
        return Interrupted(passed[0])
    killed = [rank for rank, code in enumerate(codes) if code and code < 0]
    if killed:
        name = signal.Signals(-codes[killed[0]]).name
        hint = " Memory that runs out is the usual reason." if name == "SIGKILL" else ""
        return UserError(f"Process {killed[0] + 1} of the {len(codes)} of this job was ended by {name}, so the job ended.{hint}")
    errors = sorted(meeting.glob("error-*"), key=lambda path: path.stat().st_mtime_ns)
    if errors:
        return pickle.loads(errors[0].read_bytes())
    return UserError(f"A process of this job ended without an error message: exit codes {codes}.")


@contextmanager
def _passing_on_signals(ranks):
    """Pass the signals of the command on to its processes in here. Yields the list of the signals so far."""
    passed = []

    def pass_on(number, frame):
        passed.append(number)
        for process in ranks:
            if process.is_alive():
                os.kill(process.pid, number)

    with listening(pass_on):
        yield passed


def _end(ranks, at_once):
    """Wait for the processes to end, then terminate them, then kill them: one that hangs in a library hears no signal but SIGKILL.

    at_once: hardly wait, since they have been asked twice
    """
    for ask in ("terminate", "kill") if at_once else (None, "terminate", "kill"):
        alive = [process for process in ranks if process.is_alive()]
        if ask:
            for process in alive:
                getattr(process, ask)()
        until = time.monotonic() + (LAST_GRACE if at_once else GRACE)
        for process in alive:
            process.join(max(0, until - time.monotonic()))

"""The command: Hydra composes and sweeps, each job is trained, and whatever goes wrong is said in one sentence."""

import inspect
import logging
import os
import shutil
import socket
import sys
import time
import traceback
import warnings
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fer_lightning.config import schema  # noqa: F401
from fer_lightning.config.compose import CONF
from fer_lightning.config.error_messages import explain, lost_job, root_cause
from fer_lightning.config.hydra_limits import check_arguments
from fer_lightning.config.identity import job_id
from fer_lightning.process import signals as interrupt
from fer_lightning.process.errors import ConfigError, DataError, UserError
from fer_lightning.runs.config_files import write_config
from fer_lightning.runs.layout import RESULT, drop_unfinished
from fer_lightning.runs.result import now, read_result, write_result
from fer_lightning.runs.study_file import LEDGER
from fer_lightning.safety.allowed_targets import WHITELIST
from fer_lightning.safety.secrets import mask_logs
from fer_lightning.sweep import announcement as sweep
from fer_lightning.sweep.lock import held, leave_to_others, wait_for_others
from fer_lightning.sweep.overrides import cell_values, refuse_merged_options

log = logging.getLogger(__name__)

FULL_ERROR = "HYDRA_FULL_ERROR"

ON_ERROR = ("continue", "stop")
RERUN = ("none", "failed")

# conf/hydra/launcher/ has options of the plug-ins' names, which Hydra checks against the plug-ins' own, and says so each time.
warnings.filterwarnings("ignore", message=r"\n'hydra/launcher/\w+' is validated against ConfigStore schema")


def main():
    """Entry point of `python -m fer_lightning`. Exit codes: 0 all done, 1 something failed, 130 Ctrl-C, 143 SIGTERM."""
    before = os.environ.get(FULL_ERROR, "")
    shows_traces = before == "1"
    # Makes Hydra hand its errors on instead of printing them, so that they can be explained here.
    os.environ[FULL_ERROR] = "1"
    whitelist = {"execution_whitelist": WHITELIST} if "execution_whitelist" in inspect.signature(hydra.main).parameters else {}
    run = hydra.main(config_path=str(CONF), config_name="config", version_base="1.3", **whitelist)(job)
    try:
        check_arguments(sys.argv[1:])
        with interrupt.listening():
            run()
            while (whole := sweep.current()) and wait_for_others(Path(whole.folder), whole.started):
                run()  # keeps what is done and takes over what a process that died has left
            if whole:
                end(Path(whole.folder))
    except interrupt.Interrupted as stop:
        sys.exit(stop.code)
    except Exception as error:
        sentence = explain(error)
        if shows_traces or sentence is None:
            raise
        if lost_job(error):
            _show_rest()
        sys.exit(sentence)
    finally:
        sweep.withdraw()
        os.environ[FULL_ERROR] = before


def _show_rest():
    """The report of a sweep that Hydra gave up. Jobs that run elsewhere may go on, so what they share stays."""
    from fer_lightning.report import report

    with suppress(UserError):  # not one job has begun
        report(Path(sweep.current().folder))


def end(study):
    """The end of a sweep: its report, and exit code 1 where a job is not done."""
    from fer_lightning.report import report

    shutil.rmtree(study / sweep.SHARED, ignore_errors=True)
    if report(study):
        sys.exit(1)


def job(cfg):
    """Run one job, unless another process is at it, or its folder already holds its result. What fails is recorded; the sweep goes on.

    Returns the monitored score of the selected epoch, for sweepers that search; None where the job has none.
    """
    mask_logs()
    context = HydraConfig.get()
    os.chdir(context.runtime.cwd)  # a worker on a cluster starts elsewhere, and relative paths are the user's
    whole = sweep.current()
    folder = Path(context.runtime.output_dir)
    if whole is not None and not (folder.parent / LEDGER).exists():
        host = socket.gethostname()
        raise ConfigError(f"{host} does not see {folder.parent}, where this sweep is: it must be on a file system that all machines share.")
    overrides = list(context.overrides.task)
    study = context.runtime.choices["study"]
    if whole is None and study != "adhoc":
        sys.exit(f"study={study} is a grid of jobs: add --multirun (or -m) to run them.")
    try:
        refuse_merged_options(overrides)
        for key, value, known in (("on_error", cfg.on_error, ON_ERROR), ("study.rerun", cfg.study.rerun, RERUN)):
            if value not in known:
                raise ConfigError(f"{key}={value}: choose {' or '.join(known)}.")
    except ConfigError as error:
        sys.exit(str(error))
    cell = cell_values(cfg, context.runtime.choices, whole.axes if whole else ())
    description = {"id": job_id(cfg), "study": whole.study if whole else None, "cell": cell, "seed": cfg.seed, "overrides": overrides}
    heading = f"job {context.job.num + 1}/{whole.jobs or '?'}  {folder.name}" if whole else f"run {folder}"
    with interrupt.listening(), held(folder) as ours:
        kept = _why_kept(cfg, folder, description, whole) if ours else "run by another process, left to it"
        if not ours:
            if whole is None:
                sys.exit(f"{folder}: another process runs this job.")
            leave_to_others(folder, whole.started)
        if kept:
            log.info("%s  %s", heading, kept)
        else:
            log.info("%s%s", heading, _eta(whole, context.job.num) if whole else "")
            write_config(folder, cfg, context, overrides)
            _run(cfg, folder, description, whole)
        result = read_result(folder)
        return result["selected"]["value"] if result and result["status"] == "done" else None


def _earlier_result(folder):
    """The result.json of a folder that this process has to itself; one that cannot be read is removed: nothing can go on from it."""
    try:
        return read_result(folder)
    except (OSError, ValueError) as error:
        log.warning("%s is damaged (%s), so the job starts anew", folder / RESULT, error)
        (folder / RESULT).unlink()
        return None


def _why_kept(cfg, folder, description, whole):
    """Why the job is not run now; None where it is."""
    previous = _earlier_result(folder)
    if previous and previous["job"]["id"] == description["id"]:
        if previous["status"] == "done":
            drop_unfinished(folder)  # a process that was killed may have left them
            return "done before, kept"
        if previous["status"] == "failed" and whole and cfg.study.rerun != "failed":
            return "failed before, kept so: study.rerun=failed runs it again"
    if whole and cfg.on_error == "stop" and (failed := _first_failed(folder.parent)):
        return f"not run: on_error=stop, and {failed} failed"
    return None


def _first_failed(study):
    """The name of a failed job of a study folder; None where there is none."""
    for path in sorted(study.glob(f"*/{RESULT}")):
        with suppress(OSError, ValueError):  # a damaged one
            if read_result(path.parent)["status"] == "failed":
                return path.parent.name
    return None


def _run(cfg, folder, description, whole):
    start = time.perf_counter()
    try:
        from fer_lightning.training.processes import launch  # torch and lightning: 4 s that --help and --cfg do without

        shared = folder.parent / sweep.SHARED if whole and whole.shares else None
        logs = OmegaConf.to_container(HydraConfig.get().job_logging, resolve=True)
        group = whole.study if whole else "single"
        result = launch(cfg, folder, description, logs, name=folder.name, group=group, shared=shared)
        test = result["metrics"]["test"]
        scores = f"test accuracy {test['accuracy']:.4f}, clean {test['accuracy_clean']:.4f}" if test else "no test part"
        log.info("done in %.0f s, epoch %d selected: %s", time.perf_counter() - start, result["selected"]["epoch"] + 1, scores)
    except (interrupt.Interrupted, KeyboardInterrupt, SystemExit) as stop:
        with interrupt.held():
            _record_end(folder, description, "interrupted", stop)
            log.error("interrupted: %s  The same command goes on with it.", folder)
        raise
    except Exception as error:
        with interrupt.held():
            _record_end(folder, description, "failed", error)
        sentence = explain(error)
        if whole is None and sentence is None:
            raise
        # No job of a sweep can run on bad data; any other failure leaves the next job its chance.
        if whole is None or isinstance(root_cause(error), DataError):
            sys.exit(sentence)
        log.error("failed: %s", sentence or traceback.format_exc())


def _record_end(folder, description, status, error):
    record = read_result(folder) or {"job": description}
    cause = root_cause(error)
    trace = None if isinstance(cause, UserError | interrupt.Interrupted) else traceback.format_exc()
    where = " ".join(getattr(error, "__notes__", ())) or None
    reason = {"type": type(cause).__name__, "message": explain(error) or str(error), "where": where, "traceback": trace}
    try:
        write_result(folder, record | {"status": status, "ended": now(), "error": reason})
    except OSError as full:
        log.error("%s cannot be written (%s)", folder / RESULT, full)


def _eta(whole, number):
    """How long the rest of the sweep takes if its jobs go on at the pace so far."""
    if whole.jobs is None or not number:
        return ""
    left = max(0.0, time.time() - whole.started) / number * (whole.jobs - number)  # a clock may have been set back
    return f"  ETA {time.strftime('%H:%M:%S', time.gmtime(left))}" if left < 86400 else f"  ETA {left / 3600:.0f} h"

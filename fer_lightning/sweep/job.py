"""One job: run it, or say why it is not run, and record how it ends. Hydra calls `run_job` in whatever process the launcher chooses."""

import logging
import os
import socket
import sys
import time
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fer_lightning.config import guarded_loading  # noqa: F401  (in whatever process this job is)
from fer_lightning.config.error_messages import explain, root_cause
from fer_lightning.config.identity import job_id, training_config
from fer_lightning.process.errors import ConfigError, DataError, UserError
from fer_lightning.process.orphans import end_with_parent
from fer_lightning.process.signals import Interrupted, deferred, listening
from fer_lightning.process.visible import visible
from fer_lightning.runs.config_files import write_config
from fer_lightning.runs.layout import RESULT, drop_unfinished, refuse_links
from fer_lightning.runs.ownership import check_run_folder
from fer_lightning.runs.result import now, read_result, write_result
from fer_lightning.runs.study_file import LEDGER
from fer_lightning.safety.secrets import mask_logs
from fer_lightning.sweep.announcement import SHARED, current_sweep
from fer_lightning.sweep.lock import leave_to_others, locked
from fer_lightning.sweep.overrides import cell_values, refuse_merged_options

log = logging.getLogger(__name__)

# conf/hydra/launcher/ has options with the names of the plug-ins. Hydra checks them against the plug-ins' own, and warns each time. Here,
# because every process of a launcher imports this file.
warnings.filterwarnings("ignore", message=r"\n'hydra/launcher/\w+' is validated against ConfigStore schema")

DONE = "already done"

# {start of a sweep: how many of its jobs this process has skipped}
_skipped = Counter()

# Seconds that a job has to reach its next step and record its end, once the process that runs the sweep is gone.
GRACE = 60


def run_job(cfg):
    """Run one job; skip it if another process has it or it is finished. Record failures and continue with the sweep.

    Returns the monitored score of the selected epoch, for sweepers that search; None if the job has none.
    """
    mask_logs()
    logging.raiseExceptions = False  # a terminal or a pipe that is gone is no error of the job
    end_with_parent(GRACE)
    context = HydraConfig.get()
    os.chdir(context.runtime.cwd)  # a worker on a cluster starts elsewhere, and relative paths are the user's
    sweep = current_sweep()
    folder = Path(context.runtime.output_dir)
    overrides = list(context.overrides.task)
    _check(cfg, folder, overrides, sweep)
    cell = cell_values(cfg, context.runtime.choices, sweep.axes if sweep else ())
    description = {"id": job_id(cfg), "study": sweep.study if sweep else None, "cell": cell, "seed": cfg.seed, "overrides": overrides}
    heading = f"run {folder}"
    if sweep:
        of = f"/{sweep.jobs}" if sweep.jobs else ""  # a search says itself which trial of how many it is at
        heading = f"job {context.job.num + 1}{of}  {folder.name}"
    with listening(), locked(folder) as ours:
        skipped = _why_skipped(cfg, folder, description, sweep) if ours else "another process runs it"
        if not ours:
            if sweep is None:
                sys.exit(f"{folder}: another process runs this job.")
            leave_to_others(folder, sweep.started)
        if skipped:
            log.info("%s  %s", heading, skipped)
            if sweep:
                _skipped[sweep.started] += 1
            if skipped == DONE:
                _measure_later(cfg, folder)
        else:
            log.info("%s%s", heading, _eta(sweep, context.job.num) if sweep else "")
            write_config(folder, cfg, context, overrides)
            _train(cfg, folder, description, sweep)
        result = read_result(folder)
        return result["selected"]["value"] if result and result["status"] == "done" else None


def _check(cfg, folder, overrides, sweep):
    """End the sweep for what is wrong with all of its jobs: SystemExit passes through every launcher."""
    if sweep is not None and not (folder.parent / LEDGER).exists():
        host = socket.gethostname()
        raise ConfigError(f"{host} does not see {folder.parent}, where this sweep is: it must be on a file system that all machines share.")
    try:
        refuse_links(folder)
        check_run_folder(folder, training_config(cfg), finished_only=sweep is not None)
        refuse_merged_options(overrides)
    except UserError as error:
        sys.exit(str(error))


def _why_skipped(cfg, folder, description, sweep):
    """Why the job is not run now; None if it is."""
    previous = _earlier_result(folder)
    if previous and previous["job"]["id"] == description["id"]:
        if previous["status"] == "done":
            drop_unfinished(folder)  # a process that was killed may have left them
            return DONE
        if previous["status"] == "failed" and sweep and cfg.study.rerun != "failed":
            return "already failed; study.rerun=failed runs it again"
    if sweep and cfg.on_error == "stop" and (failed := _first_failed(folder.parent)):
        return f"not run: on_error=stop, and {failed} failed"
    return None


def _measure_later(cfg, folder):
    """Measure what this command asks for beside the training and the finished run lacks, such as timed_passes."""
    result = read_result(folder)
    had = {"timed_passes": result["time"].get("passes"), "near_twins": result["data"].get("near_twins")}
    lacking = [key for key in had if cfg[key] and cfg[key] != had[key]]
    if not lacking or not result["metrics"]["test"]:
        return
    try:
        from fer_lightning.training.later import measure_later

        measure_later(cfg, folder, lacking)
        log.info("%s measured for it", " and ".join(lacking))
    except Exception as error:
        log.error("not measured: %s", explain(error) or traceback.format_exc())


def _earlier_result(folder):
    """The result.json of a folder that this process has locked. If it is damaged it is removed, because no job can go on from it."""
    try:
        return read_result(folder)
    except (OSError, ValueError) as error:
        log.warning("%s is damaged (%s), so the job starts from the beginning", folder / RESULT, error)
        (folder / RESULT).unlink()
        return None


def _first_failed(study):
    """The name of a failed job of a study folder; None if there is none."""
    for path in sorted(study.glob(f"*/{RESULT}")):
        with suppress(OSError, ValueError):  # a damaged one
            if read_result(path.parent)["status"] == "failed":
                return path.parent.name
    return None


def _train(cfg, folder, description, sweep):
    """Train, and record how it ends. In a sweep an exception ends the job, not the sweep."""
    start = time.perf_counter()
    try:
        from fer_lightning.training.processes import launch  # torch and lightning: 4 s that --help and --cfg do without

        shared = folder.parent / SHARED if sweep and sweep.shares else None
        logs = OmegaConf.to_container(HydraConfig.get().job_logging, resolve=True)
        group = sweep.study if sweep else "single"
        bar = may_draw(HydraConfig.get().runtime.choices["hydra/launcher"])
        result = launch(cfg, folder, description, logs, name=folder.name, group=group, shared=shared, bar=bar)
        test = result["metrics"]["test"]
        scores = f"test accuracy {100 * test['accuracy']:.2f} %, clean {100 * test['accuracy_clean']:.2f} %" if test else "no test part"
        log.info("done in %.0f s, epoch %d selected: %s", time.perf_counter() - start, result["selected"]["epoch"] + 1, scores)
    except (Interrupted, KeyboardInterrupt, SystemExit) as stop:
        with deferred():
            _record_end(folder, description, "interrupted", stop)
            log.error("interrupted: %s  The same command goes on with it.", folder)
        raise
    except Exception as error:
        with deferred():
            _record_end(folder, description, "failed", error)
        sentence = explain(error)
        if sweep is None and sentence is None:
            raise
        # No job of a sweep can run on bad data. After any other failure the next job may still succeed.
        if sweep is None or isinstance(root_cause(error), DataError):
            sys.exit(visible(sentence))
        log.error("failed: %s", sentence or traceback.format_exc())


def may_draw(launcher):
    """Whether a job may draw on the screen: there is one, and no other job of the launcher draws over it."""
    return sys.stdout.isatty() and launcher == "basic"


def _record_end(folder, description, status, error):
    record = read_result(folder) or {"job": description}
    cause = root_cause(error)
    trace = None if isinstance(cause, UserError | Interrupted) else traceback.format_exc()
    where = " ".join(getattr(error, "__notes__", ())) or None
    reason = {"type": type(cause).__name__, "message": explain(error) or str(error), "where": where, "traceback": trace}
    try:
        write_result(folder, record | {"status": status, "ended": now(), "error": reason})
    except OSError as full:
        log.error("%s cannot be written (%s)", folder / RESULT, full)


def _eta(sweep, number):
    """How long the rest of the sweep takes if its jobs go on at the pace so far. Jobs that were skipped took no time and do not count."""
    ran = number - _skipped[sweep.started]
    if sweep.jobs is None or ran < 1:
        return ""
    left = max(0.0, time.time() - sweep.started) / ran * (sweep.jobs - number)  # a clock may have been set back
    return f"  ETA {time.strftime('%H:%M:%S', time.gmtime(left))}" if left < 86400 else f"  ETA {left / 3600:.0f} h"

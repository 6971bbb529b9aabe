"""`python -m fer_lightning`: Hydra composes and sweeps, each job is trained, and every error that a user can mend is one sentence."""

import inspect
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import hydra

from fer_lightning.config import schema  # noqa: F401  (stores the schema)
from fer_lightning.config.error_messages import explain, lost_job
from fer_lightning.config.groups import CONF
from fer_lightning.config.hydra_limits import check_arguments
from fer_lightning.config.typed import arrange
from fer_lightning.process.command_line import silent_pipe
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.process.home import ensure_home
from fer_lightning.process.signals import Interrupted, listening
from fer_lightning.process.visible import visible
from fer_lightning.safety.allowed_targets import WHITELIST
from fer_lightning.sweep.announcement import SHARED, current_sweep, withdraw
from fer_lightning.sweep.job import run_job
from fer_lightning.sweep.lock import wait_for_others

FULL_ERROR = "HYDRA_FULL_ERROR"


def main():
    """Compose, sweep, train, report. Exit codes: 0 all done, 1 something failed, 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP."""
    ensure_home()
    before = os.environ.get(FULL_ERROR, "")
    # Makes Hydra raise its errors instead of printing them, so that they can be explained here.
    os.environ[FULL_ERROR] = "1"
    whitelist = {"execution_whitelist": WHITELIST} if "execution_whitelist" in inspect.signature(hydra.main).parameters else {}
    run = hydra.main(config_path=str(CONF), config_name="config", version_base="1.3", **whitelist)(run_job)
    try:
        check_arguments(sys.argv[1:])
        _check_texts()
        sys.argv[1:] = arrange(sys.argv[1:])
        with silent_pipe(), listening():
            run()
            while (sweep := current_sweep()) and wait_for_others(Path(sweep.folder), sweep.started):
                run()  # keeps what is done and takes over what a process that died has left
            if sweep:
                end(Path(sweep.folder))
    except Interrupted as stop:
        sys.exit(stop.code)
    except Exception as error:
        sentence = explain(error)
        if before == "1" or sentence is None:
            raise
        if lost_job(error):
            _show_rest()
        sys.exit(visible(sentence))
    finally:
        withdraw()
        os.environ[FULL_ERROR] = before


def _check_texts():
    """ConfigError unless the current folder and the arguments are texts: both are written to the config of each run."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        raise ConfigError("The current folder does not exist any more. Go to another one.") from None
    for kind, text in (("The current folder", here), *(("The argument", argument) for argument in sys.argv[1:])):
        if not _is_text(text):
            raise ConfigError(f"{kind} {text!a} is not UTF-8: rename it, or start from another folder.")


def _is_text(text):
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


def _show_rest():
    """The report of a sweep that Hydra gave up. Jobs on other machines may go on, so what they share stays."""
    from fer_lightning.analysis.report import report  # pandas, scipy, plotly: 2 s that --help and --cfg do without

    with suppress(UserError):  # not one job has begun
        report(Path(current_sweep().folder))


def end(study):
    """The end of a sweep: its report, and exit code 1 if a job is not done, or has left no record at all."""
    from fer_lightning.analysis.report import report
    from fer_lightning.runs.study_progress import lost

    shutil.rmtree(study / SHARED, ignore_errors=True)
    unfinished = report(study)
    for job in (missing := lost(study, sys.argv[1:])):
        print(f"no record: {' '.join(job)}  Its folder is gone, or its result.json is damaged. The same command runs it.")
    if unfinished or missing:
        sys.exit(1)

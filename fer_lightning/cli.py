"""The command: Hydra composes and sweeps, each job is trained, and whatever goes wrong is said in one sentence."""

import inspect
import logging
import os
import sys
import time
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from fer_lightning import schema  # noqa: F401  (stores the schema that config.yaml names)
from fer_lightning.allowed import WHITELIST
from fer_lightning.errors import ConfigError, DataError, UserError
from fer_lightning.explain import explain, root_cause
from fer_lightning.record import now, read_result, write_result
from fer_lightning.secrets import mask_logs
from fer_lightning.study import sweep
from fer_lightning.study.admission import check_arguments
from fer_lightning.study.cells import cell_name, cell_values, refuse_merged_options
from fer_lightning.study.identity import job_id

log = logging.getLogger(__name__)

# In a wheel conf/ lies inside the package, in a checkout beside it.
CONF = next(path for path in (Path(__file__).parent / "conf", Path(__file__).parent.parent / "conf") if path.is_dir())

INTERRUPTED = 130


def main():
    """Entry point of `python -m fer_lightning`. Exit codes: 0 all done, 1 something failed, 130 interrupted."""
    shows_traces = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Makes Hydra hand its errors on instead of printing them, so that they can be explained here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        check_arguments(sys.argv[1:])
        whitelist = {"execution_whitelist": WHITELIST} if "execution_whitelist" in inspect.signature(hydra.main).parameters else {}
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3", **whitelist)(job)()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        sentence = explain(error)
        if shows_traces or sentence is None:
            raise
        sys.exit(sentence)
    finally:
        sweep.withdraw()


def job(cfg):
    """Run one job, unless its folder already holds its result. What fails is recorded; a sweep then goes on with the next job."""
    mask_logs()
    context = HydraConfig.get()
    whole = sweep.current()
    folder = Path(context.runtime.output_dir)
    overrides = list(context.overrides.task)
    if whole is None and cfg.study.name != "adhoc":
        sys.exit(f"study={cfg.study.name} is a grid of jobs: add --multirun (or -m) to run them.")
    try:
        refuse_merged_options(overrides)
    except ConfigError as error:
        sys.exit(str(error))
    cell = cell_values(cfg, context.runtime.choices, whole.axes if whole else ())
    description = {"id": job_id(cfg), "study": whole.study if whole else None, "cell": cell, "seed": cfg.seed, "overrides": overrides}
    heading = f"job {context.job.num + 1}/{whole.jobs or '?'}  {folder.name}" if whole else f"run {folder}"
    previous = read_result(folder)
    if previous and previous["status"] == "done" and previous["job"]["id"] == description["id"]:
        log.info("%s  done before, kept", heading)
        return
    log.info("%s%s", heading, _eta(whole, context.job.num) if whole else "")
    _run(cfg, folder, description, whole)


def _run(cfg, folder, description, whole):
    start = time.perf_counter()
    try:
        from fer_lightning.train import train  # torch and lightning: 4 s that --help and --cfg do without

        shared = folder.parent / sweep.SHARED if whole and whole.shares else None
        result = train(cfg, folder, description, name=folder.name, group=whole.study if whole else "single", shared=shared)
        test = result["metrics"]["test"]
        scores = f"test accuracy {test['accuracy']:.4f}, clean {test['accuracy_clean']:.4f}" if test else "no test part"
        log.info("done in %.0f s, epoch %d selected: %s", time.perf_counter() - start, result["selected"]["epoch"] + 1, scores)
    except (KeyboardInterrupt, SystemExit) as error:
        # Lightning answers Ctrl-C with SystemExit(1).
        _record_end(folder, description, "interrupted", error)
        log.error("interrupted: %s", folder)
        sys.exit(INTERRUPTED)
    except Exception as error:
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
    trace = None if isinstance(cause, UserError) else traceback.format_exc()
    reason = {"type": type(cause).__name__, "message": explain(error) or str(error), "traceback": trace}
    write_result(folder, record | {"status": status, "ended": now(), "error": reason})


def _eta(whole, number):
    """How long the rest of the sweep takes if its jobs go on at the pace so far."""
    if whole.jobs is None or not number:
        return ""
    left = (time.time() - whole.started) / number * (whole.jobs - number)
    return f"  ETA {time.strftime('%H:%M:%S', time.gmtime(left))}" if left < 86400 else f"  ETA {left / 3600:.0f} h"


def _cell(*, _root_):
    choices = _root_.hydra.runtime.choices
    return cell_name(cell_values(_root_, choices, sweep.current().axes) | {"seed": _root_.seed}, groups=choices)


OmegaConf.register_new_resolver("sweep_study", lambda: sweep.current().study, replace=True)
OmegaConf.register_new_resolver("sweep_cell", _cell, replace=True)

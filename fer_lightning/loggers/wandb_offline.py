"""The offline W&B runs of run folders: where they are, what the server's copy lacks, and how to add it."""

import filecmp
import json
import math
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omegaconf.errors import OmegaConfBaseException

from fer_lightning.config.identity import shown_config
from fer_lightning.loggers import mirrors
from fer_lightning.process.errors import UserError
from fer_lightning.runs.config_files import read_config
from fer_lightning.runs.finished_run import read_record
from fer_lightning.runs.layout import METRICS, RESULT
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.safety.untrusted_files import check_file

# Where the client keeps tables until they are uploaded, below its data folder.
STAGING = "/artifacts/staging/"

ENDED = ("done", "failed", "interrupted")


@dataclass(frozen=True)
class OfflineRun:
    """The newest offline W&B run of a run folder. file: its log, run-ID.wandb"""

    folder: Path
    file: Path

    @property
    def id(self):
        return self.file.stem.removeprefix("run-")

    @property
    def mark(self):
        """The file that the client leaves when it has sent everything that it found."""
        return self.file.with_suffix(".wandb.synced")

    @property
    def is_up(self):
        return self.mark.exists()

    @cached_property
    def records(self):
        """What the client logged, as W&B's own tool reads it; cut off where the file is."""
        tool = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(self.file)]
        done = subprocess.run(tool, capture_output=True, encoding="utf-8", errors="replace")
        return [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def about(self):
        """What the client wrote at the start: project, run_id, display_name, run_group, entity if set. Empty if the file is cut off."""
        return next((record["run"] for record in self.records if record["type"] == "run"), {})

    @cached_property
    def strays(self):
        """The files that the client would upload with this run although they are not of it, links among them."""
        files = self.file.parent / "files"
        named = {Path(path) for record in self.records for path in _values(record, "local_path")}
        named |= {files / path for record in self.records if record["type"] == "files" for path in _values(record, "path")}
        named |= {path for path in files.rglob("*") if path.is_symlink()}
        return sorted(str(path) for path in named if path.exists() and not self._owns(path))

    @cached_property
    def fault(self):
        """Why it is not uploaded, as a sentence; None if it can be."""
        if self.strays:
            return f"its W&B log names {self.strays[0]}, which is not a file of this run"
        try:
            read = [self.config, self.epochs]
            if self.result["status"] == "done":
                read.append(mirrors.summary(self.result))
                for name in mirrors.RECORD:
                    check_file(self.folder / name, mirrors.LARGEST_ARTIFACT)
        except (UserError, OmegaConfBaseException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"its run folder is damaged ({type(error).__name__}: {' '.join(str(error).split())})"
        return None

    def _owns(self, path):
        """Whether a file lies in the run folder or among what the client keeps for uploads, or is what the run folder holds as well."""
        real = path.resolve()
        if real.is_relative_to(self.folder.resolve()) or STAGING in real.as_posix():
            return True
        copy = self.folder / path.name  # of a run folder that was copied: its log names the files of the first one
        return copy.is_file() and not copy.is_symlink() and filecmp.cmp(real, copy, shallow=False)

    @property
    def result(self):
        return read_record(self.folder)

    @property
    def config(self):
        settings = shown_config(read_config(self.folder))
        return mirrors.config(settings, self.result["job"], self.result["model"])

    @property
    def epochs(self):
        """{epoch: its row of metrics.csv}, without the step, which Lightning counts differently in loggers."""
        rows = read_metrics(self.folder) if (self.folder / METRICS).exists() else []
        return {int(row["epoch"]): {name: value for name, value in row.items() if name != "step"} for row in rows}


def _values(node, name):
    """Every text that has this name, anywhere in plain containers."""
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key == name and isinstance(child, str):
            yield child
        yield from _values(child, name)


def offline_runs(folder):
    """The offline runs of all ended jobs in or below a folder, in the order of their folders.

    If a job was tried several times, the newest run counts: it is the one that result.json describes.
    """
    found = {}
    for file in sorted(Path(folder).glob("**/wandb/offline-run-*/run-*.wandb")):
        run_folder = file.parents[2]
        if any(part.is_symlink() for part in (file, *file.parents[:3]) if part != Path(folder)):
            raise UserError(f"{file} lies behind a link, which is not followed.")
        if (read_record(run_folder) or {}).get("status") in ENDED:
            found[run_folder] = OfflineRun(run_folder, file)
    if not found:
        raise UserError(
            f"{folder} holds no offline W&B run of an ended job: no wandb/offline-run-* beside a {RESULT}. "
            "Name a run folder, a study or multirun; runs that were logged online are on the server already."
        )
    return [found[run_folder] for run_folder in sorted(found)]


def connect():
    """The client's interface to the server that the user is logged in to. UserError without a login, or if the server does not answer."""
    import wandb

    wandb.setup(wandb.Settings(silent=True, mode="online"))
    server = wandb.setup().settings.base_url
    if not wandb.login(prompt=False, verify=False):
        raise UserError(f"There is no login for W&B at {server}: run `wandb login`, or set WANDB_API_KEY, and try again.")
    try:
        return wandb.Api(timeout=20)
    except wandb.errors.CommError as error:
        raise UserError(f"W&B cannot be used: {error}. Check the network and `wandb login`; nothing was sent.") from error


@contextmanager
def opened(entity, project, **about):
    """A run on the server to write to: a new one, or the one that has the id."""
    import wandb

    with tempfile.TemporaryDirectory() as scratch:
        try:
            run = wandb.init(entity=entity, project=project, dir=scratch, mode="online", **about)
        except wandb.errors.CommError as error:
            raise UserError(f"W&B no longer answers: {error}. The same command again goes on.") from error
        with run:
            yield run


def differences(api, entity, project, local):
    """What the server's run lacks of its run folder: [(what, sentence)]; what: an epoch, `config`, `record` or `run`."""
    import wandb

    try:
        run = api.run(f"{entity}/{project}/{local.id}")
        run.load(force=True)
        rows = list(run.scan_history(use_cache=False))
        artifacts = {artifact.digest for artifact in run.logged_artifacts()}
    except wandb.errors.CommError as error:
        return [("run", f"marked as uploaded but not readable there ({error}); remove {local.mark} to upload it again")]
    history = {}
    for row in rows:
        if "epoch" in row:  # an epoch takes several rows, one for each part of the data
            history.setdefault(row["epoch"], {}).update(row)
    found = []
    for epoch, row in local.epochs.items():
        found += [(epoch, f"history of epoch {epoch} {fault}") for fault in _faults(row, history.get(epoch, {}))]
    found += [("config", f"config {fault}") for fault in _faults(local.config, run.config)]
    if local.result["status"] == "done":
        found += [("record", f"summary {fault}") for fault in _faults(mirrors.summary(local.result), run.summary)]
        record = mirrors.record_artifact(run.id, local.folder, local.result)
        if record.digest not in artifacts:
            found.append(("record", f"artifact {record.name} is missing or holds other files"))
    return found


def mend(entity, project, local, what):
    """Add to the server's run what `differences` found missing, from the run folder."""
    with opened(entity, project, id=local.id, resume="must") as run:
        run.config.update(local.config, allow_val_change=True)
        for epoch, row in local.epochs.items():
            if epoch in what:
                run.log(row)
        if "record" in what:
            mirrors.show_in_wandb(run, local.folder, local.result)
        run.finish(exit_code=0 if local.result["status"] == "done" else 1)


def _faults(expected, found):
    keys = [key for key, value in expected.items() if key not in found or not _equal(value, found[key])]
    if keys:
        yield f"has another or no value of {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}"


def _equal(expected, found):
    """JSON has no NaN and no infinity; the client writes them as text."""
    if isinstance(expected, float):
        try:
            found = float(found)
        except (TypeError, ValueError):
            return False
        return found == expected or (math.isnan(found) and math.isnan(expected))
    return json.loads(json.dumps(expected)) == found

"""How far a study is: how many jobs are in which state, how long the rest takes, which cell is best so far."""

import json
from collections import Counter, defaultdict
from dataclasses import asdict
from statistics import fmean, stdev

from fer_lightning.config.cell_names import plain_level, written_levels
from fer_lightning.runs.job_states import Study, find_studies, is_run, read_job, read_study
from fer_lightning.runs.result import read_results
from fer_lightning.runs.study_file import read_ledger

# The statuses in the order in which they are shown; others, should there be any, follow.
ORDER = ("done", "running", "silent", "unreadable", "failed", "interrupted")


def read_studies(folder, now):
    """The Studies of a folder; a single run is a study of one job. now: seconds since the epoch. UserError if there is neither."""
    if is_run(folder):
        return [Study(folder, [read_job(folder, now)], [], undecided=False)]
    return [read_study(path, now) for path in find_studies(folder)]


def counts(study):
    """{status: number of jobs} in the order in which they are shown, without zeros."""
    found = Counter(job.status for job in study.jobs)
    ordered = {status: found[status] for status in dict.fromkeys([*ORDER, *found])} | {"to do": len(study.to_do)}
    return {status: n for status, n in ordered.items() if n}


def time_left(study, now):
    """Seconds until the last job ends, if as many run at once as now; None if none runs, or nothing is known of how long a job takes.

    A job that is to do takes as long as the done ones on average; before any is done, as long as the running ones will take.
    """
    running = [job for job in study.jobs if job.status == "running"]
    lengths = [job.epochs * job.epoch_s if job.epochs and job.epoch_s else None for job in running]
    known = [job.total_s for job in study.jobs if job.total_s] or [length for length in lengths if length]
    if not running or not known or study.undecided:
        return None
    usual = fmean(known)
    left = [max(0.0, (length or usual) - (now - job.since.timestamp())) for job, length in zip(running, lengths, strict=True)]
    return max(*left, (sum(left) + len(study.to_do) * usual) / len(running))


def best_cell(jobs):
    """{cell, val_accuracy, sd, n} of the cell with the best mean validation accuracy over its n done seeds; None if there is none yet."""
    cells = defaultdict(list)
    for job in jobs:
        if job.status == "done" and job.cell is not None and job.val_accuracy is not None:
            cells[json.dumps(job.cell)].append(job.val_accuracy)
    if not cells:
        return None
    cell, scores = max(cells.items(), key=lambda item: fmean(item[1]))
    return {"cell": json.loads(cell), "val_accuracy": fmean(scores), "sd": stdev(scores) if len(scores) > 1 else None, "n": len(scores)}


def is_over(study):
    """Whether the study changes no more by itself: no job runs, none is to do."""
    return not (study.to_do or study.undecided or any(job.status == "running" for job in study.jobs))


def lost(folder, command):
    """The jobs of a command, as overrides, of which its study holds no record that can be read: their folders have vanished.

    Empty if another command has begun in the study since, and if its jobs were chosen as it went.
    """
    ledger = read_ledger(folder)
    if ledger is None or ledger["command"] != command:
        return []
    jobs = [result["job"] for result in read_results(folder)[0].values()]
    recorded = [{key: plain_level(value) for key, value in ((job["cell"] or {}) | {"seed": job["seed"]}).items()} for job in jobs]
    levels = [(job, written_levels(job, ledger["axes"]).items()) for job in ledger["jobs"] or ()]
    typed = [job["overrides"] for job in jobs]
    return [job for job, wanted in levels if job not in typed and not any(wanted <= found.items() for found in recorded)]


def as_json(studies, now):
    """The studies as JSON: a list with an object for each."""
    return json.dumps(
        [
            {"counts": counts(study), "time_left_s": time_left(study, now), "best": best_cell(study.jobs), "over": is_over(study)}
            | asdict(study)
            for study in studies
        ],
        default=str,
        indent=1,
    )

"""Where a study stands, from its files, while it runs: what is done, running, silent, failed, to do, and how long the rest takes.

    python -m fer_lightning.status multirun/NAME              # a study; multirun: a line for each study in it; or one run folder
    python -m fer_lightning.status multirun/NAME --watch      # every 2 seconds, until all jobs are over
    python -m fer_lightning.status multirun/NAME --json       # the same for scripts
"""

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean, stdev

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fer_lightning.process.errors import UserError
from fer_lightning.process.terminal import console
from fer_lightning.runs.job_states import Study, find_studies, is_run, read_job, read_study

# The statuses in the order in which they are shown; others, should there be any, come after them.
STYLES = {"done": "green", "running": "cyan", "silent": "yellow", "unreadable": "red", "failed": "red", "interrupted": "yellow"}

INTERRUPTED = 130


def read(folder, now):
    """The Studies of a folder; a single run is a study of one job. now: seconds since the epoch. UserError where there is neither."""
    if is_run(folder):
        return [Study(folder, [read_job(folder, now)], [], undecided=False)]
    return [read_study(path, now) for path in find_studies(folder)]


def counts(study):
    """{status: jobs} in the order in which they are shown, without those that no job has."""
    found = Counter(job.status for job in study.jobs)
    ordered = {status: found[status] for status in dict.fromkeys([*STYLES, *found])} | {"to do": len(study.to_do)}
    return {status: n for status, n in ordered.items() if n}


def time_left(study, now):
    """Seconds until the last job ends, if as many run at once as now; None where none runs or nothing is known to judge by.

    A job that is to do takes as long as the done ones on average, before there is one as long as those running will take.
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
    """{cell, val_accuracy, sd, n} of the cell with the best mean validation accuracy over its n done seeds; None before there is one."""
    cells = defaultdict(list)
    for job in jobs:
        if job.status == "done" and job.cell is not None and job.val_accuracy is not None:
            cells[json.dumps(job.cell)].append(job.val_accuracy)
    if not cells:
        return None
    cell, scores = max(cells.items(), key=lambda item: fmean(item[1]))
    return {"cell": json.loads(cell), "val_accuracy": fmean(scores), "sd": stdev(scores) if len(scores) > 1 else None, "n": len(scores)}


def is_over(study):
    """Whether nothing more will come of itself: no job runs, none is to do."""
    return not (study.to_do or study.undecided or any(job.status == "running" for job in study.jobs))


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


def as_screen(folder, studies, now):
    """The studies as rich shows them: all there is to tell of a run or a study, a line for each of several."""
    if is_run(folder):
        return _jobs(studies[0].jobs)
    if [study.folder for study in studies] != [folder]:
        return _table([""] * 4, ((Text(study.folder.name, "bold"), *_summary(study, now)) for study in studies))
    (study,) = studies
    order = list(counts(study))
    rest = sorted((job for job in study.jobs if job.status != "done"), key=lambda job: order.index(job.status))
    jobs, pace, best = _summary(study, now)
    heading = Text("  ").join(text for text in (Text.assemble((folder.name, "bold"), ": ", jobs), pace) if text)
    return Group(heading, _jobs(rest), *([best] if best else []))


def _summary(study, now):
    """(how many jobs are what, how long the rest takes, the best cell) as texts."""
    found = counts(study)
    done = found.pop("done", 0)
    total = f"{done} jobs done" if study.undecided else f"{done} of {done + sum(found.values())} jobs done"
    jobs = Text(", ").join([Text(total), *(Text(f"{n} {status}", STYLES.get(status, "")) for status, n in found.items())])
    left, best = time_left(study, now), best_cell(study.jobs)
    pace = "" if left is None else f"{_clock(left)} left"
    if "running" not in found and not is_over(study):
        pace = "nothing is running"
    if best is None:
        return jobs, Text(pace), Text()
    cell = " ".join(f"{key}={value}" for key, value in best["cell"].items())
    deviation = "" if best["sd"] is None else f" ± {100 * best['sd']:.2f} ({best['n']} seeds)"
    return jobs, Text(pace), Text(f"best: {cell}  val {100 * best['val_accuracy']:.2f} %{deviation}")


def _jobs(jobs):
    """A table of those that run, and a line for each other one."""
    running = [job for job in jobs if job.status == "running"]
    rows = [
        (
            Text(job.status, STYLES[job.status]),
            job.name,
            f"{job.epoch or 0}/{job.epochs or '?'}",
            "" if job.val_accuracy is None else f"{100 * job.val_accuracy:.2f}",
            "" if job.epoch_s is None else f"{job.epoch_s:.1f}",
            _moment(job.since),
        )
        for job in running
    ]
    table = [_table(("", "job", "epoch", "val %", "s/epoch", "since"), rows)] if rows else []
    return Group(*table, *(_line(job) for job in jobs if job.status != "running"))


def _line(job):
    """A job that does not run, in one line: since when, how far it came, what went wrong."""
    parts = [f"since {_moment(job.since)}"]
    if job.epoch:
        parts.append(f"{job.epoch} of {job.epochs or '?'} epochs")
    if job.val_accuracy is not None:
        parts.append(f"val {100 * job.val_accuracy:.2f} %")
    if job.total_s is not None:
        parts.append(f"took {_clock(job.total_s)}")
    if job.message:
        parts.append(job.message)
    return Text.assemble((f"{job.status}: ", STYLES.get(job.status, "")), f"{job.name}  {', '.join(parts)}")


def _table(columns, rows):
    """Columns without lines between them; what is too long for a narrow screen is folded, not cut."""
    table = Table(box=None, show_header=any(columns), pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


def _moment(time):
    return f"{time:%H:%M}" if time.date() == datetime.now().date() else f"{time:%Y-%m-%d %H:%M}"


def _clock(seconds):
    return str(timedelta(seconds=round(seconds)))


def watch(folder, seconds):
    """Show the studies of a folder again and again until all are over. Without a terminal: once, at the end."""
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            now = time.time()
            studies = read(folder, now)
            live.update(as_screen(folder, studies, now), refresh=True)
            if all(map(is_over, studies)):
                return
            time.sleep(seconds)


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0. The folder comes before --watch.")
    return seconds


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.status", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME, of several studies, or of one run")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", type=_seconds, nargs="?", const=2.0, metavar="SECONDS", help="show it every 2 seconds until all is over")
    how.add_argument("--json", action="store_true", help="print it for scripts")
    arguments = parser.parse_args()
    folder, now = arguments.folder.absolute(), time.time()
    try:
        if arguments.watch:
            watch(folder, arguments.watch)
        elif arguments.json:
            print(as_json(read(folder, now), now))
        else:
            console().print(as_screen(folder, read(folder, now), now))
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

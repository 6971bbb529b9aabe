"""The progress of studies on the terminal."""

import time
from datetime import datetime, timedelta

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fer_lightning.process.terminal import console
from fer_lightning.runs.job_states import is_run
from fer_lightning.runs.study_progress import best_cell, counts, is_over, read_studies, time_left

LONGEST_S = 1e10

STYLES = {"done": "green", "running": "cyan", "silent": "yellow", "unreadable": "red", "failed": "red", "interrupted": "yellow"}


def watch(folder, seconds):
    """Show the studies of a folder every so many seconds until all are over. Without a terminal: once, at the end."""
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            now = time.time()
            studies = read_studies(folder, now)
            live.update(as_screen(folder, studies, now), refresh=True)
            if all(map(is_over, studies)):
                return
            time.sleep(seconds)


def as_screen(folder, studies, now):
    """The studies as rich shows them: everything about one run or one study; a line for each of several."""
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
    """(how many jobs are in which state, how long the rest takes, the best cell) as texts."""
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
    """A table of the running jobs, and a line for each other one."""
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
    """A job that is not running, in one line: since when, how far it came, what went wrong."""
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
    """Columns without lines between them; on a narrow screen long cells are folded, not cut."""
    table = Table(box=None, show_header=any(columns), pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return table


def _moment(time):
    return f"{time:%H:%M}" if time.date() == datetime.now().date() else f"{time:%Y-%m-%d %H:%M}"


def _clock(seconds):
    return str(timedelta(seconds=round(seconds))) if seconds < LONGEST_S else "centuries"  # by the files of a stranger

"""Where a study stands: hand-written folders for every state of a job, and one real sweep observed while it runs."""

import io
import json
import os
import socket
import subprocess
import sys
import time

import pytest
from helpers.project import TINY
from rich.console import Console

from fer_lightning.runs.metrics_csv import append_metrics
from fer_lightning.runs.progress_screen import as_screen, watch
from fer_lightning.runs.result import write_result
from fer_lightning.runs.study_progress import best_cell, counts, is_over, read_studies, time_left

NOW = time.time()  # of the test, by `now`
ELSEWHERE = {"host": "another machine", "pid": 1}


@pytest.fixture(autouse=True)
def now(monkeypatch):
    """The commands that a test starts look at the clock themselves, long after this file was loaded."""
    monkeypatch.setattr(sys.modules[__name__], "NOW", time.time())


def overrides_of(lr, seed):
    return [f"optimizer.lr={lr}", f"seed={seed}", "data=synthetic"]


def make_study(folder, jobs, age=1000):
    """study.json of a sweep over (lr, seed) pairs; None where the sweeper decides."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = {"study": {"name": folder.name}, "axes": ["optimizer.lr", "seed"], "jobs": jobs and [overrides_of(*job) for job in jobs]}
    write(folder / "study.json", json.dumps(ledger), age)


def write(path, text, age):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))


def begin(folder, lr, seed, age):
    """What Hydra writes before a job starts. age: seconds ago. Returns the run folder."""
    run = folder / f"lr{lr}-s{seed}"
    write(run / ".hydra" / "config.yaml", "epochs: 10\ntrainer:\n  max_epochs: ${epochs}\n", age)
    write(run / ".hydra" / "overrides.yaml", "".join(f"- {override}\n" for override in overrides_of(lr, seed)), age)
    return run


def make_run(folder, lr, seed, status, age, rows=(), last_row=0, **result):
    """A run folder whose result.json is `age` seconds old. rows: val accuracy an epoch, the last one written `last_row` seconds ago."""
    run = begin(folder, lr, seed, age)
    job = {"id": "x", "study": folder.name, "cell": {"optimizer.lr": lr}, "seed": seed, "overrides": overrides_of(lr, seed)}
    write_result(run, {"status": status, "job": job, **result})
    os.utime(run / "result.json", (NOW - age, NOW - age))
    for epoch, accuracy in enumerate(rows):
        append_metrics(run, {"epoch": epoch, "val/loss": 1.0, "val/accuracy": accuracy})
    if rows:
        os.utime(run / "metrics.csv", (NOW - last_row, NOW - last_row))
    return run


def done(folder, lr, seed, accuracy, total_s=100.0):
    return make_run(folder, lr, seed, "done", 500, metrics={"val": {"accuracy": accuracy}}, time={"total_s": total_s})


def gone():
    """The number of a process of this machine that has ended."""
    child = subprocess.Popen(["true"])
    child.wait()
    return {"host": socket.gethostname(), "pid": child.pid}


def here():
    return {"host": socket.gethostname(), "pid": os.getpid()}


def screen(folder, width=160):
    text = io.StringIO()
    Console(file=text, width=width).print(as_screen(folder, read_studies(folder, NOW), NOW))
    return text.getvalue()


@pytest.fixture
def every_state(tmp_path):
    folder = tmp_path / "rates"
    make_study(folder, [(lr, seed) for lr in (0.1, 0.2, 0.3, 0.4, 0.5) for seed in (0, 1)])
    done(folder, 0.1, 0, 0.60)
    done(folder, 0.1, 1, 0.64)
    done(folder, 0.2, 0, 0.63)
    make_run(folder, 0.2, 1, "running", 90, rows=[0.3, 0.4, 0.5], last_row=0, environment=here())
    make_run(folder, 0.3, 0, "running", 90, rows=[0.9], last_row=60, environment=gone())
    make_run(folder, 0.3, 1, "failed", 80, error={"type": "ValueError", "message": "too [bold]large\nsecond line"})
    make_run(folder, 0.4, 0, "interrupted", 70, error={"type": "KeyboardInterrupt", "message": ""})
    write(make_run(folder, 0.4, 1, "done", 60) / "result.json", '{"status": "do', 60)
    begin(folder, 0.5, 0, 5)
    return folder


def test_every_state_is_told(every_state):
    (study,) = read_studies(every_state, NOW)
    assert counts(study) == {"done": 3, "running": 2, "silent": 1, "unreadable": 1, "failed": 1, "interrupted": 1, "to do": 1}
    assert study.to_do == [overrides_of(0.5, 1)]
    assert not is_over(study)
    jobs = {job.name: job for job in study.jobs}
    running = jobs["lr0.2-s1"]
    assert (running.status, running.epoch, running.epochs, running.val_accuracy) == ("running", 3, 10, 0.5)
    assert running.epoch_s == pytest.approx(30) and running.since.timestamp() == pytest.approx(NOW - 90)
    silent = jobs["lr0.3-s0"]
    assert silent.status == "silent" and "is gone" in silent.message and silent.since.timestamp() == pytest.approx(NOW - 60)
    assert jobs["lr0.3-s1"].message == "too [bold]large"
    assert jobs["lr0.4-s1"].status == "unreadable" and "result.json" in jobs["lr0.4-s1"].message
    assert (jobs["lr0.5-s0"].status, jobs["lr0.5-s0"].epoch, jobs["lr0.5-s0"].epochs) == ("running", None, 10)


def test_the_screen_shows_what_was_read(every_state):
    text = screen(every_state)
    heading, *lines = text.splitlines()
    assert heading.startswith("rates: 3 of 10 jobs done, 2 running, 1 silent, 1 unreadable, 1 failed, 1 interrupted, 1 to do  ")
    assert any(line.split()[:5] == ["running", "lr0.2-s1", "3/10", "50.00", "30.0"] for line in lines)
    assert any(line.startswith("failed: lr0.3-s1") and line.endswith("too [bold]large") for line in lines)
    assert any(line.startswith("silent: lr0.3-s0") and "1 of 10 epochs, val 90.00 %, its process" in line for line in lines)
    assert "best: optimizer.lr=0.2  val 63.00 %" in lines[-1]
    assert "second line" not in text and "\x1b" not in text


def test_a_narrow_screen_loses_nothing(every_state):
    narrow = screen(every_state, width=50)
    for words in ("lr0.2-s1  3/10   50.00  30.0", "too [bold]large", "best: optimizer.lr=0.2", "1 to do"):
        assert words in " ".join(narrow.split("\n"))
    for width in (20, 50):
        assert max(map(len, screen(every_state, width).splitlines())) <= width


def test_time_left_by_hand(every_state):
    """10 epochs of 30 s, 90 s gone: 210 s. The job that has just begun: 100 s as the done ones, 5 s gone. One to do: 100 s. Two at once."""
    (study,) = read_studies(every_state, NOW)
    assert time_left(study, NOW) == pytest.approx(max(210, (210 + 95 + 100) / 2))


def test_time_left_before_any_job_is_done(tmp_path):
    make_study(tmp_path, [(0.1, seed) for seed in range(5)])
    make_run(tmp_path, 0.1, 0, "running", 40, rows=[0.1, 0.1], environment=here())
    (study,) = read_studies(tmp_path, NOW)
    assert time_left(study, NOW) == pytest.approx((200 - 40) + 4 * 200)


def test_time_left_is_not_guessed(tmp_path):
    make_study(tmp_path, [(0.1, 0), (0.1, 1)])
    assert time_left(read_studies(tmp_path, NOW)[0], NOW) is None  # nothing runs
    make_run(tmp_path, 0.1, 0, "running", 40, environment=here())
    assert time_left(read_studies(tmp_path, NOW)[0], NOW) is None  # no epoch yet
    done(tmp_path, 0.1, 1, 0.5, total_s=60.0)
    assert time_left(read_studies(tmp_path, NOW)[0], NOW) == pytest.approx(20)


def test_best_cell_is_by_the_mean_over_seeds(tmp_path):
    for lr, scores in {0.1: (0.9, 0.1), 0.2: (0.6, 0.62), 0.3: (0.5,)}.items():
        for seed, accuracy in enumerate(scores):
            done(tmp_path, lr, seed, accuracy)
    make_run(tmp_path, 0.4, 0, "running", 10, rows=[0.99], environment=here())
    best = best_cell(read_studies(tmp_path, NOW)[0].jobs)
    assert best == {"cell": {"optimizer.lr": 0.2}, "val_accuracy": pytest.approx(0.61), "sd": pytest.approx(0.02 / 2**0.5), "n": 2}


def test_runs_that_are_no_cells_have_no_best_one(tmp_path):
    for name in ("12-00-00", "12-10-00"):
        job = {"id": "x", "study": None, "cell": {}, "seed": 0, "overrides": []}
        (tmp_path / name).mkdir()
        write_result(tmp_path / name, {"status": "done", "job": job, "metrics": {"val": {"accuracy": 0.5}}})
    assert "2 of 2 jobs done" in screen(tmp_path) and "best" not in screen(tmp_path)


@pytest.mark.parametrize(
    ("rows", "age", "last_row", "environment", "status"),
    [
        ([0.1], 100, 0, ELSEWHERE, "running"),
        ([0.1], 1200, 590, ELSEWHERE, "running"),  # ten minutes pass before a short epoch counts as late
        ([0.1], 700, 610, ELSEWHERE, "silent"),
        ([0.1] * 2, 10_000, 3600, ELSEWHERE, "running"),  # epochs of 3,200 s
        ([0.1] * 2, 22_400, 16_010, ELSEWHERE, "silent"),
        ([0.1], 700, 610, here(), "silent"),  # alive, and stuck
        ([], 3500, 0, ELSEWHERE, "running"),
        ([], 3700, 0, ELSEWHERE, "silent"),
        ([], 3700, 0, here(), "running"),  # a long first epoch of a process that lives
        ([], 1, 0, gone(), "silent"),
        ([], 3500, 0, {}, "running"),
    ],
)
def test_who_is_silent(tmp_path, rows, age, last_row, environment, status):
    make_run(tmp_path, 0.1, 0, "running", age, rows, last_row, environment=environment)
    (study,) = read_studies(tmp_path, NOW)
    assert study.jobs[0].status == status
    assert is_over(study) == (status == "silent")


def test_a_row_that_is_half_there_is_left_out(tmp_path):
    run = make_run(tmp_path, 0.1, 0, "running", 10, rows=[0.1, 0.2], environment=here())
    whole = (run / "metrics.csv").read_bytes()
    for end in range(len(whole) + 1):
        (run / "metrics.csv").write_bytes(whole[:end])
        job = read_studies(tmp_path, NOW)[0].jobs[0]
        rows = whole[:end].count(b"\r") - 1  # the header's aside; a row ends in \r\n
        assert (job.epoch, job.val_accuracy) == ((None, None) if rows < 1 else (rows, rows / 10))


def test_a_result_that_is_no_result_is_said(tmp_path):
    run = done(tmp_path, 0.1, 0, 0.5)
    whole = (run / "result.json").read_bytes()
    for content in (whole[:40], b"\xff\xfe", b"", b"[]", b'{"status": "done"}', b'{"status": "done", "job": null}'):
        (run / "result.json").write_bytes(content)
        assert "unreadable: lr0.1-s0" in screen(tmp_path)


def test_another_try_at_a_failed_job_is_running(tmp_path):
    make_study(tmp_path, [(0.1, 0)])
    make_run(tmp_path, 0.1, 0, "failed", 100, rows=[0.1], last_row=110, error={"message": "no space left"})
    assert is_over(read_studies(tmp_path, NOW)[0])
    begin(tmp_path, 0.1, 0, 3)
    (study,) = read_studies(tmp_path, NOW)
    assert counts(study) == {"running": 1} and study.jobs[0].epoch is None and study.jobs[0].message is None


def test_a_job_counts_once_while_hydra_writes_its_files(tmp_path):
    make_study(tmp_path, [(0.1, 0)])
    for status in (None, "failed"):
        run = make_run(tmp_path, 0.1, 0, status, 100) if status else begin(tmp_path, 0.1, 0, 3)
        write(run / ".hydra" / "overrides.yaml", "", 3)
        assert counts(read_studies(tmp_path, NOW)[0]) == ({"running": 1} if status else {"to do": 1})


def test_a_done_job_that_another_sweep_passes_stays_done(tmp_path):
    make_study(tmp_path, [(0.1, 0)])
    done(tmp_path, 0.1, 0, 0.5)
    begin(tmp_path, 0.1, 0, 3)
    assert counts(read_studies(tmp_path, NOW)[0]) == {"done": 1}


def test_constants_and_their_order_do_not_make_a_job_another(tmp_path):
    make_study(tmp_path, [(0.1, 0), (0.1, 1)])
    run = done(tmp_path, 0.1, 0, 0.5)
    result = json.loads((run / "result.json").read_text())
    result["job"]["overrides"] = ["logger=csv", "seed=0", "optimizer.lr=0.1"]
    write_result(run, result)
    assert counts(read_studies(tmp_path, NOW)[0]) == {"done": 1, "to do": 1}


def test_jobs_of_an_earlier_command_count_too(tmp_path):
    make_study(tmp_path, [(0.1, 1)])
    done(tmp_path, 0.1, 0, 0.5)
    assert "1 of 2 jobs done, 1 to do  nothing is running" in screen(tmp_path)


def test_nothing_started_yet(tmp_path):
    make_study(tmp_path / "rates", [(0.1, 0), (0.1, 1)])
    assert screen(tmp_path / "rates").strip() == "rates: 0 of 2 jobs done, 2 to do  nothing is running"


def test_a_sweeper_that_decides_as_it_goes(tmp_path):
    make_study(tmp_path, None, age=1000)
    write(tmp_path / "report.md", "of the sweep before", 2000)
    done(tmp_path, 0.1, 0, 0.5)
    (study,) = read_studies(tmp_path, NOW)
    assert not is_over(study) and "1 jobs done" in screen(tmp_path)
    make_run(tmp_path, 0.2, 0, "running", 20, rows=[0.1], environment=here())
    assert time_left(read_studies(tmp_path, NOW)[0], NOW) is None
    done(tmp_path, 0.2, 0, 0.5)
    write(tmp_path / "report.md", "of this sweep", 10)
    assert is_over(read_studies(tmp_path, NOW)[0])


def test_a_line_for_each_of_several_studies(every_state):
    make_study(every_state.parent / "later", [(0.1, 0)])
    first, second = screen(every_state.parent).splitlines()
    assert first.split()[:5] == ["later", "0", "of", "1", "jobs"] and second.startswith("rates  3 of 10 jobs done, 2 running")


def test_one_run_is_a_line(every_state):
    assert screen(every_state / "lr0.1-s0").startswith("done: lr0.1-s0") and "took 0:01:40" in screen(every_state / "lr0.1-s0")
    assert "lr0.2-s1  3/10" in screen(every_state / "lr0.2-s1")


def test_scripts_read_the_same(every_state, process):
    printed = process("fer_lightning.status", every_state, "--json")
    assert printed.code == 0
    (study,) = json.loads(printed.text)
    assert study["counts"] == {"done": 3, "running": 2, "silent": 1, "unreadable": 1, "failed": 1, "interrupted": 1, "to do": 1}
    assert study["best"]["cell"] == {"optimizer.lr": 0.2} and study["over"] is False and study["time_left_s"] > 0
    jobs = {job["name"]: job for job in study["jobs"]}
    assert jobs["lr0.2-s1"]["epoch"] == 3 and jobs["lr0.3-s1"]["message"] == "too [bold]large"
    assert study["to_do"] == [overrides_of(0.5, 1)]


def test_wrong_input_is_one_sentence(tmp_path, process):
    for folder, sentence in ((tmp_path / "nowhere", "There is no folder"), (tmp_path, "holds no study and no run")):
        told = process("fer_lightning.status", folder, "--watch")
        assert told.code == 1 and sentence in told.text and "Traceback" not in told.text
    make_study(tmp_path / "rates", [(0.1, 0)])
    (tmp_path / "rates" / "study.json").write_text('{"jobs"')
    told = process("fer_lightning.status", tmp_path / "rates")
    assert told.code == 1 and "study.json is damaged" in told.text and "Traceback" not in told.text
    told = process("fer_lightning.status", "--watch", tmp_path)
    assert told.code == 1 and "no number of seconds above 0" in told.text


def test_nothing_heavy_is_imported():
    heavy = "{'torch', 'lightning', 'pandas', 'numpy', 'hydra'}"
    code = f"import sys, fer_lightning.runs.progress_screen; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_watch_ends_when_all_is_over(tmp_path, monkeypatch, capsys):
    """The second look finds the job done. Without a terminal only the last one is shown, as plain text."""
    make_study(tmp_path, [(0.1, 0)])
    make_run(tmp_path, 0.1, 0, "running", 1, environment=here())
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        done(tmp_path, 0.1, 0, 0.5)

    monkeypatch.setattr(time, "sleep", sleep)
    watch(tmp_path, 7.0)
    assert looks == [7.0]
    shown = capsys.readouterr().out
    assert "1 of 1 jobs done" in shown and "running" not in shown and "\x1b" not in shown


def test_a_watch_is_stopped_quietly(tmp_path):
    make_study(tmp_path, [(0.1, 0)])
    code = """
import os, signal, sys, time
from fer_lightning.status import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it runs in the background ignore it
time.sleep = lambda seconds: os.kill(os.getpid(), signal.SIGINT)  # after the first look, however slow the machine is
sys.argv = ["status", sys.argv[1], "--watch", "0.05"]
main()
"""
    stopped = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert stopped.returncode == 130 and stopped.stderr == "" and "0 of 1 jobs done" in stopped.stdout


def test_a_real_sweep_is_followed_to_its_end(tmp_path):
    cmd = [sys.executable, "-m", "fer_lightning", "-m", "seed=0,1", *TINY, "trainer.max_epochs=4", "logger=csv", "hydra.sweep.dir=here"]
    seen = {}
    with subprocess.Popen(cmd, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sweep:
        while sweep.poll() is None:
            if (tmp_path / "here" / "study.json").exists():
                (study,) = read_studies(tmp_path / "here", time.time())
                for job in study.jobs:
                    seen.setdefault((job.name, job.status), []).append(job)
                assert set(counts(study)) <= {"done", "running", "to do"} and sum(counts(study).values()) == 2
            time.sleep(0.05)
        assert sweep.returncode == 0, sweep.stdout.read()
    assert {("s0", "running"), ("s1", "running"), ("s0", "done")} <= set(seen)
    for name in ("s0", "s1"):
        epochs = [job.epoch or 0 for job in seen[name, "running"]]
        assert epochs == sorted(epochs) and 0 < max(epochs) <= 4 and seen[name, "running"][-1].epochs == 4
    (study,) = read_studies(tmp_path / "here", time.time())
    assert counts(study) == {"done": 2} and is_over(study)

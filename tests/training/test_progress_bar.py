"""What a terminal shows while a run trains: the bytes that it gets are read and drawn as it would draw them."""

import logging
import os
import pty
import re
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from fer_lightning.process.screen_log import ScreenHandler
from fer_lightning.sweep.job import may_draw
from fer_lightning.training.progress_bar import ProgressBar

EPOCH = "epoch 12/16  train 18.8 %, loss 2.299  val 25.0 %, loss 1.822  18 s"


@contextmanager
def terminal(width=80):
    """A terminal as the standard output in here. Yields a list that has the lines on it afterwards."""
    ours, theirs = pty.openpty()
    lines = []
    with pytest.MonkeyPatch.context() as patch, os.fdopen(theirs, "w", encoding="utf-8") as screen:
        patch.setattr(sys, "stdout", screen)  # not in a fixture: pytest puts its own there before the test begins
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "xterm-256color")
        yield lines
    written = b""
    while part := _read(ours):
        written += part
    os.close(ours)
    lines += drawn(written.decode())


def _read(end):
    try:
        return os.read(end, 65536)
    except OSError:  # the other end is closed
        return b""


def drawn(text):
    """The lines on a screen after these characters: what overwrites, erases and moves up."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif part == "\x1b[2K":
            rows[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif not part.startswith("\x1b"):
            rows[row] = rows[row][:column].ljust(column) + part + rows[row][column + len(part) :]
            column += len(part)
    return rows


@pytest.fixture
def log():
    log = logging.getLogger("on the screen")
    handler = ScreenHandler()
    handler.setFormatter(logging.Formatter("20:06:50  %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    yield log
    log.removeHandler(handler)


TRAINER = SimpleNamespace(
    current_epoch=11, max_epochs=16, num_training_batches=4, num_val_batches=[2], num_test_batches=[3], state=SimpleNamespace(fn="fit")
)


def train(bar, batches=4):
    bar.on_train_epoch_start(TRAINER, None)
    for batch in range(batches):
        bar.on_train_batch_end(TRAINER, None, None, None, batch)


def test_nothing_of_the_bar_is_left_beside_the_line_of_an_epoch(log):
    bar = ProgressBar()
    with terminal() as lines:
        for _ in range(2):
            train(bar)
            bar.on_validation_epoch_start(TRAINER, None)
            bar.on_validation_batch_end(TRAINER, None, None, None, 0)
            bar.on_validation_epoch_end(TRAINER, None)
            bar.on_train_epoch_end(TRAINER, None)
            log.info(EPOCH)
    assert lines == [f"20:06:50  {EPOCH}"] * 2 + [""]


def test_what_is_logged_in_the_middle_of_an_epoch_stands_above_the_bar(log):
    bar = ProgressBar()
    with terminal() as lines:
        train(bar, 2)
        log.info("features are not kept")
        train(bar, 4)
        bar.on_train_epoch_end(TRAINER, None)
        log.info(EPOCH)
    assert [line.strip() for line in lines] == ["20:06:50  features are not kept", f"20:06:50  {EPOCH}", ""]


def test_the_bar_counts_as_the_lines_do_and_says_what_it_counts():
    titles, bar = [], ProgressBar()
    begin = bar._begin
    bar._begin = lambda title, batches: (titles.append((title, batches)), begin(title, batches))
    evaluation = SimpleNamespace(**vars(TRAINER) | {"state": SimpleNamespace(fn="validate")})
    with terminal() as lines:
        train(bar)
        bar.on_validation_epoch_start(TRAINER, None)
        bar.on_train_epoch_end(TRAINER, None)
        bar.on_validation_epoch_start(evaluation, None)
        bar.on_test_epoch_start(evaluation, None)
        bar.teardown(evaluation, None, stage="test")
    assert titles == [("epoch 12/16", 4), ("epoch 12/16, validation", 2), ("validation", 2), ("test", 3)]
    assert not any(lines), "every bar is gone"


@pytest.mark.parametrize(("launcher", "drawn"), [("basic", True), ("joblib", False), ("shared", False), ("ray", False)])
def test_jobs_side_by_side_do_not_draw_over_each_other(launcher, drawn):
    with terminal():
        assert may_draw(launcher) == drawn
    assert not may_draw("basic"), "a file is no screen"


def test_a_run_that_continues_in_the_middle_of_an_epoch_has_its_bar(log):
    bar = ProgressBar()
    with terminal() as lines:
        bar.on_train_start(TRAINER, None)
        bar.on_train_batch_end(TRAINER, None, None, None, 2)
        assert bar._bar.tasks[0].completed == 3
        bar.on_train_epoch_end(TRAINER, None)
        log.info(EPOCH)
    assert lines == [f"20:06:50  {EPOCH}", ""]


def test_an_error_removes_the_bar(log):
    bar = ProgressBar()
    with terminal() as lines:
        train(bar, 1)
        bar.on_exception(TRAINER, None, KeyboardInterrupt())
        log.info("interrupted")
    assert lines == ["20:06:50  interrupted", ""]


@pytest.mark.parametrize("width", [40, 80, 160])
def test_long_lines_break_between_words_and_paths_stay_whole(log, width):
    path = f"/data/{'x' * 100}/report.html"
    with terminal(width) as lines:
        log.info("interrupted: %s  The same command goes on with it, from the last checkpoint that was written.", path)
    assert path in " ".join(lines) and all(len(line) <= width for line in lines if path not in line)
    assert " ".join(lines).split()[-4:] == ["checkpoint", "that", "was", "written."]


def test_a_file_gets_its_lines_whole(log, capsys):
    log.info("word " * 100)
    assert capsys.readouterr().out == f"20:06:50  {'word ' * 100}\n"

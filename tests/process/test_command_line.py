"""How commands end if nobody reads what they print, or if they are started outside of their environment."""

import os
import shlex
import subprocess
import sys

import pytest
from helpers.project import ROOT, TINY

from fer_lightning.runs.result import read_result

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def shell(line, cwd, **env):
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=ENVIRONMENT | env, capture_output=True, text=True, errors="replace")


@pytest.mark.parametrize("where", ["| head -1", ">&-", ">/dev/full", "2>&1 >/dev/null | head -1"])
def test_a_job_ends_well_though_nobody_reads_its_output(tmp_path, where):
    job = shlex.join([*TINY, "logger=csv", "stability.probe=8", "hydra.run.dir=run"])
    done = shell(f"{sys.executable} -m fer_lightning {job} {where}", tmp_path)
    assert "Traceback" not in done.stderr + done.stdout and "Error" not in done.stderr, done.stderr
    assert read_result(tmp_path / "run")["status"] == "done"


@pytest.mark.parametrize("arguments", ["--help", "status --help"])
@pytest.mark.parametrize("where", ["| head -1", ">&-"])
def test_a_command_without_a_reader_ends_without_a_word(tmp_path, arguments, where):
    done = shell(f"{sys.executable} -m fer_lightning {arguments} {where}", tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_a_table_without_a_reader_ends_as_any_output(tmp_path):
    table = "from fer_lightning.process.command_line import exit_code; from fer_lightning.process.terminal import console; "
    table += "exit_code(lambda: [console().print('x' * 100) for _ in range(10_000)])"
    done = shell(f"{sys.executable} -c {shlex.quote(table)} | head -1; exit ${{PIPESTATUS[0]}}", tmp_path)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_behind_the_output_is_one_sentence(tmp_path):
    done = shell(f"{sys.executable} -m fer_lightning --help >/dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "The output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("module", ["fer_lightning", "fer_lightning.status", "fer_lightning.plan", "fer_lightning.report"])
def test_outside_of_its_environment_a_command_says_so(tmp_path, module):
    """-S leaves out site-packages, as another Python would."""
    done = shell(f"{sys.executable} -S -m {module} seed=1", tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "There is no package " in done.stderr and "`. .venv/bin/activate`" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("mkdir $'x\\xff' && cd $'x\\xff' && PY -m fer_lightning", "The current folder "),
        ("mkdir x && cd x && rmdir ../x && PY -m fer_lightning", "The current folder does not exist any more"),
        ("PY -m fer_lightning hydra.run.dir=$'\\xff'", "The argument 'hydra.run.dir=\\udcff' is not UTF-8"),
    ],
)
def test_names_that_are_no_texts_are_refused(tmp_path, line, sentence):
    done = shell(line.replace("PY", sys.executable), tmp_path)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_an_interruption_that_a_library_made_an_error_of_is_one(capsys):
    """Ctrl-C while a compiled module is imported: an ImportError, which the reader of a network reports as a damaged file."""
    from fer_lightning.process.command_line import exit_code
    from fer_lightning.process.errors import UserError

    def work():
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as error:
                raise ImportError("numpy could not be imported") from error
        except Exception as error:
            raise UserError("model.onnx is damaged") from error

    def refuse():
        raise UserError("no such file") from OSError("gone")

    assert exit_code(work) == 130 and capsys.readouterr().err == ""
    assert exit_code(refuse) == 1 and capsys.readouterr().err == "no such file\n"

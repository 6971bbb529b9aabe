import sys

import pytest
from helpers.project import TINY, squeeze

from fer_lightning.plan import main
from fer_lightning.process.errors import ConfigError
from fer_lightning.sweep.planning import plan


def test_the_jobs_of_a_grid_are_listed_without_running_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["plan", "head.act=relu,gelu", "-m", "seed=0,1", *TINY])
    main()
    text = capsys.readouterr().out
    assert "4 jobs" in text and "gelu-s1" in text and "in all on this machine" in squeeze(text)
    assert not (tmp_path / "multirun").exists() and not (tmp_path / "outputs").exists()


def test_the_plan_names_what_the_sweep_will_name():
    jobs = plan(["head.act=relu,gelu", "head.norm=none,bn", *TINY])
    assert list(jobs) == ["relu-none-s0", "relu-bn-s0", "gelu-none-s0", "gelu-bn-s0"]
    assert jobs["gelu-bn-s0"].head.act._target_ == "torch.nn.GELU"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["study=adhoc,adhoc"], "One study per command"),
        (["head.act=[relu,gelu]"], "chooses several options for one run"),
        (["hydra/sweeper=optuna", "optimizer.lr=interval(0.1,1)"], "chooses its jobs as it goes"),
    ],
)
def test_what_a_sweep_refuses_a_plan_refuses(overrides, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan([*overrides, *TINY])


def test_wrong_input_is_refused(process):
    done = process("fer_lightning.plan", "head.act=rellu")
    assert done.code == 1 and "Did you mean relu" in done.text and "Traceback" not in done.text
    done = process("fer_lightning.plan")
    assert done.code == 1 and "required: OVERRIDE. See python -m fer_lightning.plan --help" in done.text

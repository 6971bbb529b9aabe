"""A search with Optuna over real, tiny runs: what is drawn, where it goes on, what counts; and the command that a W&B agent gives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.project import ROOT, TINY
from helpers.sweeps import finish, needs, results, start, wait_for
from helpers.wandb_server import ENTITY, KEY, WandbServer

from fer_lightning.runs.result import read_result

SEARCH = [*TINY, "logger=csv", "hydra/sweeper=optuna", "hydra.sweep.dir=multirun/s"]
RATE = "optimizer.lr=tag(log,interval(1e-4,1))"


def trials(tmp_path):
    import optuna

    return optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/multirun/s/search.db").trials


needs_optuna = needs("optuna")


@needs_optuna
@pytest.mark.parametrize(
    "override, wanted",
    [
        ("x=a,'b c',1", "CategoricalDistribution(choices=('a', \"'b c'\", '1'))"),
        ("x=range(32,97,32)", "IntDistribution(high=96, log=False, low=32, step=32)"),
        ("x=range(0.5,0,-0.25)", "FloatDistribution(high=0.5, log=False, low=0.25, step=0.25)"),
        ("x=interval(0,1)", "FloatDistribution(high=1.0, log=False, low=0.0, step=None)"),
        ("x=int(interval(8,64))", "IntDistribution(high=64, log=False, low=8, step=1)"),
        ("x=tag(log,interval(1e-4,1))", "FloatDistribution(high=1.0, log=True, low=0.0001, step=None)"),
    ],
)
def test_what_is_drawn_from(override, wanted):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from fer_lightning.sweep.search import distribution

    assert str(distribution(OverridesParser.create().parse_override(override))) == wanted


@needs_optuna
def test_a_search_goes_by_the_selected_epoch_and_ends_with_the_number_asked_for(command, tmp_path):
    args = ["-m", *SEARCH, RATE, "head.act=relu,gelu", "seed=0,1"]
    first = command(*args, "hydra.sweeper.n_trials=2")
    assert first.code == 0, first.text
    done = results(tmp_path)
    again = command(*args, "hydra.sweeper.n_trials=3")
    assert again.code == 0 and "already done" not in again.text, again.text
    found = trials(tmp_path)
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 3 and found[0].params != found[1].params
    assert done.items() <= results(tmp_path).items() and len(results(tmp_path)) == 6
    for trial in found:
        values = []
        for seed in (0, 1):
            result = read_result(tmp_path / "multirun" / "s" / f"lr{trial.params['optimizer.lr']}-{trial.params['head.act']}-s{seed}")
            values.append(result["selected"]["value"])
            assert result["selected"]["value"] == result["metrics"]["val"]["accuracy"]
        assert trial.value == sum(values) / 2
    best = max(trial.value for trial in found)  # of which there may be several
    ranking = (tmp_path / "multirun" / "s" / "report.md").read_text().split("Ranking by validation accuracy")[1]
    first = next(line for line in ranking.splitlines() if line.startswith("| 1 "))
    assert any(str(trial.params["optimizer.lr"]) in first for trial in found if trial.value == best)


@needs_optuna
@pytest.mark.parametrize(
    "rates, code, said",
    [
        ("fast,faster", 1, "wants float or int, got str"),
        ("1e30,1e31", 0, "diverged: loss or gradient became NaN or infinite"),
    ],
)
def test_a_trial_without_a_score_is_told_as_failed_and_counts(command, tmp_path, rates, code, said):
    args = ["-m", *SEARCH, "scheduler=constant", f"optimizer.lr={rates}", "hydra.sweeper.n_trials=1"]
    done = command(*args)
    assert done.code == code and said in done.text, done.text
    assert [trial.state.name for trial in trials(tmp_path)] == ["FAIL"]
    assert command(*args).code == code
    assert len(trials(tmp_path)) == 1


@needs_optuna
def test_what_is_drawn_twice_is_trained_once(command, tmp_path):
    done = command("-m", *SEARCH, "head.act=relu,gelu", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=3")
    assert done.code == 0, done.text
    found = trials(tmp_path)
    assert len(found) == 3 and len(results(tmp_path)) == len({trial.params["head.act"] for trial in found}) <= 2
    assert {trial.state.name for trial in found} == {"COMPLETE"}


@needs_optuna
@pytest.mark.slow
def test_where_a_search_is_interrupted_does_not_matter(command, tmp_path):
    args = [*SEARCH, RATE, "hydra.sweeper.n_trials=3", "trainer.max_epochs=30"]
    running = start(tmp_path, *args)
    wait_for(lambda: {result["status"] for result in results(tmp_path).values()} == {"done", "running"})
    os.kill(running.pid, signal.SIGKILL)
    assert finish(tmp_path, running).code == -signal.SIGKILL
    before = results(tmp_path)
    assert command("-m", *args).code == 0
    after = results(tmp_path)
    assert len(after) == 3 and {result["status"] for result in after.values()} == {"done"}
    assert all(after[name] == result for name, result in before.items() if result["status"] == "done")
    drawn = [trial.params for trial in trials(tmp_path)]
    (tmp_path / "multirun" / "s").rename(tmp_path / "multirun" / "interrupted")
    assert command("-m", *args).code == 0
    assert [trial.params for trial in trials(tmp_path)] == drawn


@needs_optuna
@pytest.mark.parametrize(
    "args, message",
    [
        (["head.act=relu"], "Nothing to search"),
        ([RATE, "protocol=swapped_merged"], "no validation part"),
    ],
)
def test_what_cannot_be_searched_is_said(command, args, message):
    done = command("-m", *SEARCH, *args)
    assert done.code == 1 and message in done.text and "Traceback" not in done.text


@needs_optuna
def test_other_choices_are_another_search(command):
    assert command("-m", *SEARCH, "head.act=relu,gelu", "hydra.sweeper.n_trials=1").code == 0
    done = command("-m", *SEARCH, "head.act=relu,mish", "hydra.sweeper.n_trials=2")
    assert done.code == 1 and "not those with which this search began" in done.text and "Traceback" not in done.text


@pytest.mark.slow
def test_a_w_and_b_agent_drives_the_same_command(tmp_path):
    """The client's real agent; the server that draws is a stand-in."""
    sweep = yaml.safe_load((ROOT / "docs" / "wandb_sweep.yaml").read_text())
    assert sweep["parameters"].keys() == {"optimizer.lr", "head.act"}
    sweep["command"] += TINY
    draws = {"run0": {"optimizer.lr": 0.1, "head.act": "mish"}, "run1": {"optimizer.lr": 0.02, "head.act": "relu"}}
    with WandbServer() as server:
        server.sweeps["sweep0"] = sweep | {"draws": dict(draws)}
        env = os.environ | {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_AGENT_REPORT_INTERVAL": "1"}
        env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"  # the agent's interpreter is called python
        del env["WANDB_MODE"]
        command = [sys.executable, "-m", "wandb", "agent", f"{ENTITY}/fer_lightning/sweep0"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.runs.keys() == draws.keys(), done.stdout + done.stderr
    for name, drawn in draws.items():
        folder = tmp_path / "outputs" / "wandb" / name
        overrides = [f"{key}={value}" for key, value in drawn.items()]
        result = read_result(folder)
        assert result["status"] == "done" and result["job"]["overrides"][: len(overrides)] == overrides
        assert server.runs[name]["summary"][sweep["metric"]["name"]] == result["selected"]["value"]

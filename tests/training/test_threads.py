"""How many threads a job takes: the faster number where that is open, a recorded or given one otherwise, and no trace of the timing."""

from types import SimpleNamespace

import pytest
import torch
from helpers.project import TINY, compose
from helpers.small_network import make_data, make_module

from fer_lightning.config.identity import job_id
from fer_lightning.process import ranks
from fer_lightning.runs.result import read_result
from fer_lightning.training import threads
from fer_lightning.training.threads import measured_rates, own_threads, set_threads


@pytest.fixture(autouse=True)
def two_threads():
    with own_threads():
        torch.set_num_threads(2)
        yield


def attempt(wanted="auto", previous=None, accelerator="auto"):
    cfg = SimpleNamespace(threads=wanted, trainer=SimpleNamespace(accelerator=accelerator))
    return SimpleNamespace(cfg=cfg, previous=previous, precision="32-true")


@pytest.mark.parametrize("slow", [1, 2])
def test_the_faster_number_has_the_larger_rate(slow, monkeypatch):
    """By a clock of its own, on which a piece takes ten times as long with so many threads."""
    now = [0.0]
    monkeypatch.setattr(threads, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def work(pieces):
        now[0] += pieces * (0.01 if torch.get_num_threads() == slow else 0.001)

    rates = measured_rates(work, 64, (1, 2))
    assert rates[slow] < rates[3 - slow] and now[0] < 2
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("slow", [1, 2])
def test_auto_takes_the_faster_number(slow, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(threads, "measured_rates", lambda *_: {slow: 10.0, 3 - slow: 100.0})
    assert set_threads(attempt(), make_module(), make_data()) == torch.get_num_threads() == 3 - slow
    assert ("2 of them are 10.0 times slower" in caplog.text) == (slow == 2)


def test_of_a_large_network_one_image_is_timed(monkeypatch):
    done = []
    monkeypatch.setattr(threads, "LONG", 0)
    monkeypatch.setattr(threads, "_products", lambda pieces: monkeypatch.setattr(threads, "LONG", 1))
    assert set(measured_rates(done.append, 64, (1, 2))) == {1, 2}
    assert done == [1]


@pytest.mark.parametrize(
    ("have", "given", "number"),
    [
        (1, attempt(), 1),
        (2, attempt(previous={"environment": {"threads": 1}}), 1),
        (2, attempt(previous={"environment": {"threads": 4}}), 2),
        (1, attempt(previous={"environment": {"threads": 2}}), 1),
        (1, attempt(wanted=2), 2),
        (2, attempt(wanted=1, previous={"environment": {"threads": 2}}), 1),
    ],
)
def test_nothing_is_timed_where_the_number_is_known(have, given, number, monkeypatch):
    monkeypatch.setattr(threads, "measured_rates", None)
    torch.set_num_threads(have)
    assert set_threads(given, None, None) == torch.get_num_threads() == number


def test_nothing_is_timed_on_a_gpu_or_beside_other_ranks(monkeypatch):
    monkeypatch.setattr(threads, "measured_rates", None)
    with monkeypatch.context() as gpu:
        gpu.setattr(torch.accelerator, "is_available", lambda: True)
        assert set_threads(attempt(), None, None) == 2
    monkeypatch.setattr(ranks, "count", lambda: 2)
    assert set_threads(attempt(), None, None) == 2


def test_the_timing_leaves_no_trace(monkeypatch):
    module, data = make_module(), make_data()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes, random = [part.training for part in module.modules()], torch.get_rng_state()
    monkeypatch.setattr(threads, "BUDGET", 0.02)
    set_threads(attempt(), module, data)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert [part.training for part in module.modules()] == modes and torch.equal(torch.get_rng_state(), random)
    module.logits(data.pixels[:2]).sum().backward()


def test_the_number_is_recorded_and_is_no_part_of_the_identity(command, tmp_path):
    assert command(*TINY, "logger=csv", "threads=3", "hydra.run.dir=run").code == 0
    assert read_result(tmp_path / "run")["environment"]["threads"] == 3
    assert torch.get_num_threads() == 2
    assert len({job_id(compose(f"threads={wanted}")) for wanted in ("auto", 1, 2)}) == 1


@pytest.mark.parametrize("wanted", ["0", "-1", "257", "two", "2.5", "true", "null"])
def test_a_wrong_number_is_one_sentence(command, wanted):
    done = command(*TINY, f"threads={wanted}")
    assert done.code == 1 and "threads" in done.text and "Traceback" not in done.text

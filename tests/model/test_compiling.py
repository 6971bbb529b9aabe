"""compile=true: the same training on other kernels, and a checkpoint that knows nothing of it."""

import pytest
import torch
import torch._inductor.config
from helpers.project import TINY

from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.training.restore import restore_module

# Three batches, the last of another size, averaged weights, and all that looks at a net while it trains.
TRAINING = [*TINY, "data.train=90", "logger=csv", "precision=32-true", "stability.probe=40", "stability.sharpness_every=1"]


@pytest.fixture
def traced_only(monkeypatch):
    """What is traced runs on torch's own kernels: C++ would take a minute a test. Yields dynamo's counts."""
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    before = torch.compiler.get_default_backend()
    torch.compiler.set_default_backend("aot_eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters["stats"]
    torch.compiler.set_default_backend(before)
    torch._dynamo.reset()


def run(command, folder, *overrides):
    done = command(*TRAINING, f"hydra.run.dir={folder}", *overrides)
    assert done.code == 0, done.text
    return folder


def test_compiled_training_is_the_same_training_and_its_weights_load_as_any_others(command, tmp_path, traced_only):
    frozen_then_not = ["recipe=two_phase", "backbone=compact", "batch_size=32", "ema_decay=0.9"]
    plain = run(command, tmp_path / "plain", *frozen_then_not)
    assert not traced_only["unique_graphs"]
    compiled = run(command, tmp_path / "compiled", *frozen_then_not, "compile=true")
    assert traced_only["unique_graphs"] >= 4  # backbone and head, for training and for evaluation
    for ours, theirs in zip(read_metrics(compiled), read_metrics(plain), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4, nan_ok=True)

    weights = torch.load(compiled / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert weights and not [key for key in weights if "_orig_mod" in key]
    traced_only.clear()
    _, module = restore_module(compiled)
    module(torch.zeros(3, 1, 48, 48))
    assert not traced_only["unique_graphs"]


def test_a_machine_that_cannot_compile_is_told_so(command, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.reset()
    with torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):  # monkeypatch would delete the setting when it undoes this
        done = command(*TRAINING, f"hydra.run.dir={tmp_path / 'run'}", "compile=true")
    assert done.code == 1 and "Traceback" not in done.text
    assert "compile=true: torch.compile does not work on this machine" in done.text and "compile=false runs without" in done.text
    assert read_result(tmp_path / "run")["status"] == "failed"


@pytest.mark.slow
def test_real_kernels_train_as_torchs_own(command, tmp_path):
    """With dropout; and at a rate at which eight steps do not magnify the rounding, 1e-6 after the first, to another answer."""
    slowly = "optimizer.lr=0.01"
    plain, compiled = (run(command, tmp_path / name, slowly, f"compile={name == 'compiled'}") for name in ("plain", "compiled"))
    for ours, theirs in zip(read_metrics(compiled), read_metrics(plain), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-2, abs=1e-3, nan_ok=True)

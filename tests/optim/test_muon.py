"""Muon against the singular value decomposition, torch's own iteration and torch's own SGD."""

import pytest
import torch
from torch import nn
from torch.optim._muon import _zeropower_via_newtonschulz

from fer_lightning.optim import muon as muon_module
from fer_lightning.optim.muon import Muon, orthogonal

SHAPES = [(32, 9), (64, 288), (96, 64), (128, 640)]


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_is_near_the_polar_factor_whatever_the_scale(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    for scale in (1e-4, 1, 1e4):
        found = orthogonal(scale * matrix).float()
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.5 and values.max() < 1.3
        assert torch.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0) > 0.97
        between = left.T @ found @ right.T  # in the singular vectors of the matrix nothing is off the diagonal
        assert (between - between.diag().diag()).abs().max() < 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_is_the_iteration_of_torch(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    theirs = _zeropower_via_newtonschulz(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    torch.testing.assert_close(orthogonal(matrix).float(), theirs.float(), rtol=0, atol=0.03)


@pytest.mark.parametrize("native, kind", [(True, torch.bfloat16), (False, torch.float32)])
def test_the_iteration_runs_in_what_the_device_computes_in(native, kind, monkeypatch):
    monkeypatch.setattr(muon_module, "computes_bf16", lambda device: native)
    matrix = torch.randn(64, 288, generator=torch.Generator().manual_seed(2))
    found = orthogonal(matrix)
    theirs = _zeropower_via_newtonschulz(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    assert found.dtype == kind
    torch.testing.assert_close(found.float(), theirs.float(), rtol=0, atol=0.03)


def test_a_gradient_of_zeros_moves_nothing_and_gives_no_nan():
    assert orthogonal(torch.zeros(8, 72)).abs().max() == 0


def net():
    torch.manual_seed(0)
    filters = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 16, 3)
    return nn.Sequential(*filters, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 7))


def test_all_that_is_no_filter_takes_the_steps_of_sgd_nesterov():
    ours, theirs = net(), net()
    muon = Muon(ours.parameters(), 0.1, momentum=0.8, weight_decay=0.01)
    sgd = torch.optim.SGD(theirs.parameters(), 0.1, momentum=0.8, weight_decay=0.01, nesterov=True)
    for step in range(3):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
            q.grad = p.grad.clone()
        muon.step()
        sgd.step()
    same = [torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
    assert same == [p.ndim != 4 for p in ours.parameters()]


def test_a_filter_is_scaled_and_turned_by_the_rate_along_its_nesterov_momentum():
    torch.manual_seed(0)
    filters = nn.Parameter(torch.randn(16, 8, 3, 3).contiguous(memory_format=torch.channels_last))
    muon = Muon([filters], 0.05, filter_momentum=0.6)
    average = torch.zeros(16, 72)
    for _ in range(3):
        before = filters.detach().flatten(1) * 4 / filters.detach().norm()
        filters.grad = torch.randn(16, 8, 3, 3).contiguous(memory_format=torch.channels_last)
        gradient = filters.grad.flatten(1)
        average = 0.6 * average + gradient
        left, _, right = torch.linalg.svd(gradient + 0.6 * average, full_matrices=False)
        muon.step()
        moved = (before - filters.detach().flatten(1)) / 0.05
        assert torch.cosine_similarity(moved.flatten(), (left @ right).flatten(), dim=0) > 0.97
        assert torch.linalg.svdvals(moved).sub(1).abs().max() < 0.5


def test_a_run_with_muon_goes_on_from_its_state():
    whole, halved = net(), net()
    images, labels = torch.randn(16, 1, 12, 12), torch.randint(7, (16,))

    def steps(model, optimizer, count):
        def closure():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            return loss

        return [optimizer.step(closure).item() for _ in range(count)]

    losses = steps(whole, Muon(whole.parameters()), 8)
    first = Muon(halved.parameters())
    half = steps(halved, first, 4)
    second = Muon(halved.parameters())
    second.load_state_dict(first.state_dict())
    assert half + steps(halved, second, 4) == losses
    assert losses[-1] < losses[0]

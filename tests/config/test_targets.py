"""One door from a config to objects: what is checked is exactly what is called."""

import ast

import pytest
from helpers.project import ROOT, TINY, compose
from omegaconf import OmegaConf

from fer_lightning.config.targets import build, check_targets
from fer_lightning.process.errors import ConfigError


def evil(folder):
    pickle = folder / "evil.pkl"
    pickle.write_bytes(b"cposix\nsystem\n(S'touch " + bytes(folder / "PWNED") + b"'\ntR.")
    return f"{{_target_: pandas.read_pickle, filepath_or_buffer: '{pickle}'}}"


# Texts that are harmless when they are checked as they are written, and call pandas.read_pickle if Hydra resolves them again.
HIDDEN = {
    "plain": "${oc.create:EVIL}",
    "escaped": r"\${oc.create:EVIL}",
    "escaped twice": r"\\\${oc.create:EVIL}",
    "from pieces": "${recipe.dollar}{oc.create:EVIL}",
    "decoded": r"${oc.decode:'\${oc.create:EVIL}'}",
    "in a node that is made": r"${oc.create:{x: '\${oc.create:EVIL}'}}",
    "behind a reference": "${recipe.hidden}",
}


PLACES = ["head.act.approximate", "head.act._args_", "optimizer.betas", "trainer.plugins", "augment.flip", "head.act"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", HIDDEN)
def test_no_reference_is_resolved_after_the_check(kind, place, tmp_path):
    called = evil(tmp_path)
    text = HIDDEN[kind].replace("EVIL", called.replace("'", '"') if "'" in HIDDEN[kind] else called)
    cfg = compose(*TINY, "optimizer=adamw")
    OmegaConf.set_struct(cfg, False)
    cfg.recipe = {"dollar": "$", "hidden": r"\${oc.create:" + called + "}"}
    OmegaConf.update(cfg, place, [text] if place in ("head.act._args_", "trainer.plugins") else text, merge=False, force_add=True)
    with pytest.raises(ConfigError, match="is refused"):
        check_targets(cfg)
    part = place.partition(".")[0]
    with pytest.raises(ConfigError, match="is refused"):
        build(cfg[part], part)
    assert not (tmp_path / "PWNED").exists()


def test_a_reference_in_a_name_is_refused():
    cfg = OmegaConf.create({"optimizer": {"_target_": "torch.optim.SGD", "lr": 1, r"\${oc.create:{}}": 1}})
    with pytest.raises(ConfigError, match=r"^optimizer: '\\\\\$\{oc\.create:\{\}\}' is refused"):
        check_targets(cfg)


def test_what_is_passed_beside_a_node_is_not_resolved(tmp_path):
    """Labels and folders hold swept values and names, which may be any text."""
    node = {"_target_": "torch.optim.SGD", "lr": 0.1, "_partial_": True}
    parameters = [{"params": [], "name": "${oc.create:" + evil(tmp_path) + "}"}]
    made = build(node, "optimizer", params=parameters)
    assert made.param_groups[0]["name"].startswith("${oc.create") and not (tmp_path / "PWNED").exists()


def test_only_the_door_builds_from_a_config():
    """Nobody else calls Hydra's instantiate and the like, or resolves a config to build from it."""
    found = []
    for folder in ("fer_lightning", "hydra_plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
                names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else [name]
                doors = {"instantiate", "call", "get_class", "get_method", "get_object", "get_static_method", "_locate", "resolve"}
                asked = [name for name in names if name in doors]
                if "resolve" in asked and not ast.unparse(node).startswith("OmegaConf"):
                    continue  # of a path
                found += [(path.name, name) for name in asked]
    assert sorted(set(found)) == [("allowed_targets.py", "get_object"), ("targets.py", "instantiate")]


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("head.act", "fer_lightning.loggers.mirrors.wandb"),
        ("head.act", "torch.optim.SGD"),
        ("logger.wandb.tags", "fer_lightning.loggers.mirrors.wandb"),
        ("logger.x", "fer_lightning.loggers.mirrors.record_artifact"),
        ("backbone", "fer_lightning.data.fer2013.read"),
        ("optimizer", "lightning.Trainer"),
        ("trainer.plugins", "lightning.Trainer"),
        ("recipe", "torch.nn.GELU"),
    ],
)
def test_a_target_is_allowed_at_its_place_only(key, target):
    cfg = compose(*TINY, "scheduler=constant")
    OmegaConf.set_struct(cfg, False)
    OmegaConf.update(cfg, key, {"_target_": target}, merge=False, force_add=True)
    with pytest.raises(ConfigError, match=rf"^{key}\._target_={target} is refused: "):
        check_targets(cfg)

"""Private or unstable ground of other packages that this project stands on: each loan of docs/design.md is still there, or is named."""

import importlib.metadata
import inspect
import re
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import pytest
import timm
from helpers.project import ROOT
from hydra.utils import get_object
from packaging.requirements import Requirement

PAGE = (ROOT / "docs" / "design.md").read_text().partition("\n## Loans\n")[2]
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ([\w-]+) ([\w.]+) \| (.+) \|$", PAGE, re.MULTILINE)


def trainer():
    from lightning import Trainer

    return Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)


def epoch_progress():
    return [getattr(trainer().fit_loop.epoch_progress.current, name) for name in ("ready", "started", "processed", "completed")]


def averaging():
    from lightning.pytorch.callbacks import WeightAveraging

    callback = WeightAveraging()
    return callback._average_model, callback._kwargs, callback._swap_models


def start_method():
    from lightning.pytorch.strategies import DDPStrategy

    return DDPStrategy()._start_method


def singletons():
    from hydra.core.singleton import Singleton
    from hydra.core.utils import setup_globals

    setup_globals()
    Singleton.set_state(Singleton.get_state())
    return Singleton.get_state()["omegaconf_resolvers"]


def parsed_override():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (override,) = OverridesParser.create().parse_overrides(["a/b@c=1,2"])
    assert override.is_sweep_override() and list(override.sweep_string_iterator()) == ["1", "2"]
    return override.input_line, override.key_or_group, override.package, override.get_key_element(), override.value()


def quoted():
    from hydra.core.override_parser.types import Quote, QuotedString

    assert QuotedString("it's", Quote.single).with_quotes() == r"'it\'s'"


def missing_config():
    from hydra.errors import MissingConfigException

    error = MissingConfigException("text", "group/option", ["other"])
    return error.missing_cfg_file, error.options


def unknown_key():
    from omegaconf import OmegaConf
    from omegaconf.errors import ConfigAttributeError

    with pytest.raises(ConfigAttributeError) as raised:
        OmegaConf.structured({"a": 1}, flags={"struct": True}).b  # noqa: B018
    assert raised.value.key == "b" and list(raised.value.parent_node.keys()) == ["a"]


def config_of_hydra():
    from hydra.conf import HydraConf

    config = HydraConf()
    return config.job.env_set, config.overrides.hydra, config.runtime.choices


def compile_limit():
    import torch._dynamo

    return torch._dynamo.config.recompile_limit


def inspect_run():
    """Reads the log of a W&B run, which is not written here: the command itself has to be there, with --json."""
    done = subprocess.run([sys.executable, "-m", "wandb", "leet", "inspect", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--json" in done.stdout, done.stderr


def requirements_setting():
    import wandb

    return wandb.Settings(x_save_requirements=False).x_save_requirements


def optional(package, name):
    pytest.importorskip(package)
    return get_object(name)


def quiet_cached_file():
    from transformers.utils import cached_file, hub

    assert "_raise_exceptions_for_missing_entries" in inspect.getsource(hub)
    assert cached_file(ROOT / "docs", "no_such.json", _raise_exceptions_for_missing_entries=False) is None


def offline_switch():
    from huggingface_hub import constants, get_session

    return constants.HF_HUB_OFFLINE, constants.ENDPOINT, get_session


# {loan: what fails if it is gone}; where each is used, and what breaks, is in the table.
LOANS = {
    "trainer.fit_loop.epoch_progress": epoch_progress,
    "fit_loop._should_accumulate": lambda: trainer().fit_loop._should_accumulate,
    "fit_loop.epoch_loop._num_ready_batches_reached": lambda: trainer().fit_loop.epoch_loop._num_ready_batches_reached,
    "fit_loop.epoch_loop.batch_idx": lambda: (trainer().fit_loop.epoch_loop.batch_idx, trainer().fit_loop.batch_idx),
    "WeightAveraging._swap_models": averaging,
    "DDPStrategy._start_method": start_method,
    "hydra._internal.core_plugins.basic_sweeper": lambda: get_object(
        "hydra._internal.core_plugins.basic_sweeper.BasicSweeper.split_arguments"
    ),
    "hydra._internal.core_plugins.basic_launcher": lambda: get_object("hydra._internal.core_plugins.basic_launcher.BasicLauncher.launch"),
    "Singleton.get_state": singletons,
    "GlobalHydra.instance().config_loader": lambda: [
        get_object(f"hydra._internal.config_loader_impl.ConfigLoaderImpl.{name}") for name in ("load_sweep_config", "get_group_options")
    ]
    + [get_object("hydra.core.global_hydra.GlobalHydra.config_loader")],
    "ConfigLoaderImpl.load_configuration": lambda: get_object("hydra._internal.config_loader_impl.ConfigLoaderImpl.load_configuration"),
    "HydraConfig.instance().set_config": lambda: get_object("hydra.core.hydra_config.HydraConfig").instance().set_config,
    "OverridesParser": parsed_override,
    "QuotedString": quoted,
    "hydra.job.env_set": config_of_hydra,
    "hydra.experimental.callback": lambda: [
        get_object(f"hydra.experimental.callback.Callback.{name}") for name in ("on_run_start", "on_multirun_start")
    ],
    "error.missing_cfg_file": missing_config,
    "reason.parent_node": unknown_key,
    "grammar_parser.OmegaConfGrammarParser": lambda: [
        get_object(f"omegaconf.grammar_parser.{name}") for name in ("parse", "OmegaConfGrammarParser.InterpolationResolverContext.sequence")
    ],
    "torch.default_generator": lambda: get_object("torch").default_generator.manual_seed,
    "batchnorm._BatchNorm": lambda: get_object("torch.nn.modules.batchnorm._BatchNorm"),
    "torch._dynamo.config.recompile_limit": compile_limit,
    "_zeropower_via_newtonschulz": lambda: get_object("torch.optim._muon._zeropower_via_newtonschulz"),
    "leet": inspect_run,
    "x_save_requirements": requirements_setting,
    "workspace._to_model": lambda: optional("wandb_workspaces", "wandb_workspaces.workspaces.Workspace._to_model"),
    "layer.fused_attn": lambda: timm.create_model("vit_tiny_patch16_224", img_size=32).blocks[0].attn.fused_attn,
    "_raise_exceptions_for_missing_entries": quiet_cached_file,
    "constants.HF_HUB_OFFLINE": offline_switch,
    "TarInfo._proc_member": lambda: tarfile.TarInfo._proc_member,
}


@pytest.mark.parametrize("loan", LOANS)
def test_the_loan_is_still_there(loan):
    place, package = next((where, package) for name, where, package, *_ in ROWS if name == loan)
    version = sys.version.split()[0] if package == "Python" else importlib.metadata.version(package)
    try:
        LOANS[loan]()
    except (Exception, pytest.fail.Exception) as error:
        pytest.fail(f"the loan `{loan}` ({place}) is gone in {package} {version}: {error}")


def test_a_loan_that_is_gone_is_named(monkeypatch):
    monkeypatch.setitem(LOANS, "trainer.fit_loop.epoch_progress", lambda: SimpleNamespace().epoch_progress)
    with pytest.raises(pytest.fail.Exception, match=r"the loan `trainer.fit_loop.epoch_progress` \(.*fit.py\) is gone in lightning \d"):
        test_the_loan_is_still_there("trainer.fit_loop.epoch_progress")


def test_the_table_lists_every_loan_where_it_is_used():
    assert [name for name, *_ in ROWS] == list(LOANS)
    for name, where, *_ in ROWS:
        assert re.search(rf"\b{re.split(r'[.() ]+', name)[-1]}\b", (ROOT / where).read_text()), f"{where} no longer uses {name}"


def test_what_is_lent_is_bounded_above_and_tested_within_the_bounds():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    wanted = {r.name: r.specifier for r in map(Requirement, [*project["dependencies"], *extras]) if r.name != "fer_lightning"}
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pinned = {re.sub("[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
    for name in {package for _, _, package, *_ in ROWS} - {"Python"}:
        assert any(clause.operator == "<" for clause in wanted[name]), f"{name} has no upper bound"
    for name, allowed in wanted.items():
        version = pinned.get(re.sub("[-_.]+", "-", name).lower())
        assert version is None or allowed.contains(version), f"constraints.txt has {name} {version}, pyproject.toml allows {allowed}"

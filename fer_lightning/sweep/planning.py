"""The jobs of a sweep without running them, and how long each would take on this machine."""

from statistics import fmean
from typing import NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fer_lightning.config import guarded_loading, schema  # noqa: F401  (check what Hydra loads; store the schema)
from fer_lightning.config.checks import check_config
from fer_lightning.config.groups import CONF
from fer_lightning.config.hydra_limits import check_arguments
from fer_lightning.config.targets import build, check_targets
from fer_lightning.config.trainer_keys import check_validation
from fer_lightning.config.typed import arrange
from fer_lightning.data.faces import SIZE
from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.model.description import describe
from fer_lightning.model.precision import pick_precision
from fer_lightning.process.errors import ConfigError
from fer_lightning.process.memory import keep_freed_memory
from fer_lightning.sweep.callback import without_hydra
from fer_lightning.sweep.overrides import job_name, parse, span
from fer_lightning.training.build import build_module, build_phases
from fer_lightning.training.phases import is_untouched
from fer_lightning.training.timing import timed_features, timed_steps
from fer_lightning.transforms.prepare import prepare
from fer_lightning.transforms.views import KINDS

# A probe step takes this many operations, or two images: about a second for the largest backbones, enough to time the smallest.
PROBE_FLOPS = 2e11

# The parts of a config that decide how long a step takes.
COSTS = ("backbone", "head", "optimizer", "phases", "trainer", "batch_size", "train_sizes", "precision")


class Cost(NamedTuple):
    """What a phase costs on this machine, in seconds for each input: a training step, and the features of a backbone that is frozen.

    untouched: whether the backbone has the weights it was built with, so that other jobs can share its features
    """

    epochs: int
    step: float
    features: float
    untouched: bool


def plan(overrides):
    """The jobs that --multirun with these overrides would run, as {name: config}; every config is composed and checked."""
    jobs = {}
    check_arguments(overrides)
    overrides = arrange(overrides)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        fixed = [override.input_line for override in parse(overrides) if not override.is_sweep_override()]
        axes, lists = span(compose("config", fixed, return_hydra_config=True).hydra.sweeper, overrides)
        if lists is None:
            raise ConfigError("This sweeper chooses its jobs as it goes, so they cannot be listed beforehand.")
        for job in lists:
            config = compose("config", job, return_hydra_config=True)
            settings = without_hydra(config)
            check_config(settings)
            check_validation(settings)
            check_targets(settings)
            jobs[job_name(settings, config.hydra.runtime.choices, axes)] = settings
    return jobs


def estimates(jobs, images):
    """{name: (description of the model, seconds)} of jobs with so many training images. Jobs of equal steps share one probe.

    The features of a frozen backbone count for the first of the jobs that share them.
    """
    probes, computed, found = {}, set(), {}
    for name, cfg in jobs.items():
        settings = OmegaConf.to_container(cfg, resolve=True)
        key = str([settings[part] for part in COSTS])
        if key not in probes:
            probes[key] = probe(cfg)
        model, costs = probes[key]
        found[name] = model, seconds(cfg, costs, images, computed)
    return found


def seconds(cfg, costs, images, computed):
    """The seconds of a job with so many training images. costs: the Cost of each phase; computed: the features that other jobs computed."""
    augment = build(cfg.augment, "augment")
    places, mirrored = KINDS.get(augment.crops, (1, False))
    limit = cfg.trainer.get("limit_train_batches")
    if limit is not None:
        images = min(images, limit * cfg.batch_size) if isinstance(limit, int) else images * limit
    inputs, total = images * places * (1 + mirrored), 0.0
    for cost in costs:
        total += cost.epochs * inputs * cost.step
        features = _features(cfg, augment)
        if cost.features and not (cost.untouched and features in computed):
            # Each image passes once, or once mirrored too; augmented images are other ones in each epoch.
            sides = 1 if augment.flip in (0, 1) else 2
            total += cost.features * (images * min(sides, cost.epochs) if augment.only_flips else cost.epochs * inputs)
            computed |= {features} if cost.untouched else set()
    return total


def _features(cfg, augment):
    """What the features of an untouched frozen backbone depend on: jobs that have it in common compute them once."""
    parts = ["data", "protocol", "backbone", "precision"] + ([] if augment.only_flips else ["augment", "batch_size", "seed"])
    if not cfg.backbone.get("pretrained"):
        parts.append("seed")  # draws its weights
    settings = OmegaConf.to_container(cfg, resolve=True)
    return str([settings[part] for part in parts])


def probe(cfg):
    """(description of the model, the Cost of each phase) of a job, from a few real training steps on this machine."""
    keep_freed_memory()
    counts = torch.tensor(list(OFFICIAL_COUNTS["Training"].values()))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = build_module(cfg, counts).to(device)
    phases = build_phases(cfg)
    low = pick_precision(cfg.precision, module.backbone, phases, cfg.trainer.get("accelerator", "auto")) != "32-true"
    costs = []
    for number, phase in enumerate(phases):
        module.enter(phase)
        model = describe(module)
        batch = int(min(cfg.batch_size, max(2, PROBE_FLOPS // (3 * model["flops"]))))
        pixels = torch.randint(0, 256, (batch, 1, SIZE, SIZE), dtype=torch.uint8, device=device)
        optimizer = phase.optimizer([p for p in module.parameters() if p.requires_grad])
        step, features = [], 0.0
        for size in cfg.train_sizes or [module.backbone.input_spec.size]:
            inputs = prepare(pixels, module.backbone.input_spec._replace(size=size), cfg.channels_last)
            if phase.freeze == "all":
                inputs, features = timed_features(module, inputs, low_precision=low)
                inputs = inputs[torch.arange(cfg.batch_size) % batch]  # the head takes the batch whole
            labels = torch.arange(len(inputs), device=device) % len(counts)
            step.append(min(timed_steps(module, optimizer, inputs, labels, steps=3, low_precision=low)) / len(inputs))
        costs.append(Cost(phase.epochs, fmean(step), features / batch, is_untouched(phases, number)))
    return model, costs

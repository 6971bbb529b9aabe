"""The jobs of a sweep without running them, and how long each would take on this machine."""

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from fer_lightning.config import schema  # noqa: F401  (stores the schema)
from fer_lightning.config.checks import check_config
from fer_lightning.config.groups import CONF
from fer_lightning.config.targets import check_targets
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
from fer_lightning.training.timing import timed_steps
from fer_lightning.transforms.prepare import prepare

# A probe step takes this many operations, or two images: about a second for the largest backbones, enough to time the smallest.
PROBE_FLOPS = 2e11

# The parts of a config that decide how long a job trains.
COSTS = ("backbone", "head", "optimizer", "phases", "trainer", "batch_size")


def plan(overrides):
    """The jobs that --multirun with these overrides would run, as {name: config}; every config is composed and checked."""
    jobs = {}
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
    """{name: (description of the model, seconds)} of jobs with so many training images. Jobs that cost the same share one probe."""
    probes, found = {}, {}
    for name, cfg in jobs.items():
        settings = OmegaConf.to_container(cfg, resolve=True)
        key = str([settings[part] for part in COSTS])
        if key not in probes:
            probes[key] = estimate(cfg, images)
        found[name] = probes[key]
    return found


def estimate(cfg, images):
    """(description of the model, seconds) of a job with so many training images, from a few real training steps on this machine."""
    keep_freed_memory()
    counts = torch.tensor(list(OFFICIAL_COUNTS["Training"].values()))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = build_module(cfg, counts).to(device)
    phases = build_phases(cfg)
    low = pick_precision(cfg.precision, module.backbone, phases) == "bf16-mixed"
    seconds = 0.0
    for phase in phases:
        module.enter(phase)
        model = describe(module)
        batch = int(min(cfg.batch_size, max(2, PROBE_FLOPS // (3 * model["flops"]))))
        pixels = torch.randint(0, 256, (batch, 1, SIZE, SIZE), dtype=torch.uint8, device=device)
        pixels = prepare(pixels, module.backbone.input_spec, cfg.channels_last)
        labels = torch.arange(batch, device=device) % len(counts)
        optimizer = phase.optimizer([p for p in module.parameters() if p.requires_grad])
        times = timed_steps(module, optimizer, pixels, labels, steps=3, low_precision=low)
        seconds += phase.epochs * images * min(times) / batch
    return model, seconds

"""The jobs of a sweep, without running them: what each trains, how large it is, and how long it would take on this machine.

    python -m fer_lightning.plan study=NAME
    python -m fer_lightning.plan head.act=relu,gelu head.norm=none,bn seed=0,1,2
"""

import sys

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.table import Table

from fer_lightning.config.cell_names import folder_name
from fer_lightning.config.compose import CONF
from fer_lightning.config.error_messages import explain
from fer_lightning.data.faces import SIZE
from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.process.terminal import console
from fer_lightning.sweep import overrides as cells

# A probe step takes this many operations or two pictures: about a second for the largest backbones, enough to be timed for the smallest.
PROBE_FLOPS = 2e11


def plan(overrides):
    """The jobs that --multirun with these overrides would run, as {name: config}; every config is composed and checked."""
    from fer_lightning.config.targets import check_targets

    jobs = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        fixed = [override.input_line for override in cells.parse(overrides) if not override.is_sweep_override()]
        params = compose("config", fixed, return_hydra_config=True).hydra.sweeper.params or {}
        overrides = [*(f"{key}={value}" for key, value in params.items()), *overrides]
        axes = cells.axes(overrides)
        for job in cells.expand(overrides):
            cells.refuse_merged_options(job)
            whole = compose("config", job, return_hydra_config=True)
            cfg = OmegaConf.masked_copy(whole, [key for key in whole if key != "hydra"])
            check_targets(cfg)
            choices = whole.hydra.runtime.choices
            jobs[folder_name(cells.cell_values(cfg, choices, axes), cfg.seed)] = cfg
    return jobs


def estimate(cfg, images):
    """(description of the model, seconds) of a job with so many training pictures, from a few real training steps on this machine."""
    import torch

    from fer_lightning.model.precision import pick_precision
    from fer_lightning.process.memory import keep_freed_memory
    from fer_lightning.training.build import build_module, build_phases
    from fer_lightning.training.timing import timed_steps
    from fer_lightning.training.train import describe
    from fer_lightning.transforms.prepare import prepare

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
        times = timed_steps(module, optimizer, pixels, labels, 3, low)
        seconds += phase.epochs * images * min(times) / batch
    return model, seconds


def main():
    overrides = [a for a in sys.argv[1:] if a not in ("-m", "--multirun")]
    if not overrides or overrides[0].startswith("-"):
        sys.exit(f"usage: {__doc__.strip()}")
    try:
        jobs = plan(overrides)
        show(jobs)
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        sys.exit(sentence)


def show(jobs):
    """Print the table. Jobs that train the same model the same way share one probe."""
    images = sum(OFFICIAL_COUNTS["Training"].values())
    table = Table("job", "backbone", "parameters", "trainable", "input", "epochs", "batch", "estimate", title=f"{len(jobs)} jobs")
    probes, total = {}, 0.0
    for name, cfg in jobs.items():
        costs = OmegaConf.to_container(cfg, resolve=True)
        key = str([costs[part] for part in ("backbone", "head", "optimizer", "phases", "trainer", "batch_size")])
        if key not in probes:
            probes[key] = estimate(cfg, images)
        model, seconds = probes[key]
        total += seconds
        table.add_row(
            name,
            cfg.backbone["_target_"].rsplit(".", 1)[-1],
            f"{model['parameters'] / 1e6:.2f} M",
            f"{model['trainable'] / 1e6:.2f} M",
            " x ".join(map(str, model["input"])),
            str(cfg.trainer.max_epochs),
            str(cfg.batch_size),
            _duration(seconds),
        )
    screen = console()
    screen.print(table)
    screen.print(
        f"About {_duration(total)} in all on this machine, one job after the other, on the {images:,} training pictures of FER-2013: "
        "from a few training steps of each model, without evaluation."
    )


def _duration(seconds):
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


if __name__ == "__main__":
    main()

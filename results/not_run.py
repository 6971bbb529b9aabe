"""What has not been run, of each study: all of it, levels of its axes, or seeds."""

import pandas as pd
from omegaconf import OmegaConf
from records import kept, measured, overrides, studies_of_the_papers

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.wording import listed
from fer_lightning.config.cell_names import plain_level

# How many seeds there are to be. Of a study of another name its own file says so.
SEEDS = {"cnn_batchnorm": 5, "fast_recipe_28": 5, "fast_recipe": 5, "efficientnet_ablations": 3}

# Keys that change no result.
ASIDE = ("study", "seed", "logger", "timed_passes")

# What was run instead of a study for which the machine is too small.
INSTEAD = {
    "beit_head_grid": ("frozen_head_grid", "compact_head_grid"),
    "optimizers": ("compact_optimizers",),
    "schedulers": ("compact_schedules",),
}

WHY = (
    "For want of computing time: two CPU cores, no GPU and no weights of BEiT-Large. So the goals of recipe=fast on an NVIDIA GPU are "
    "not measured either (`benchmarks/gpu_day.sh`). What is here of a paper with fewer epochs, images or pixels says so beside its numbers."
)


def not_run():
    studies = studies_of_the_papers()
    rows = []
    for name, cfg in studies.items():
        instead = listed(f"`{other}`" for other in kept(INSTEAD.get(name, ())))
        if not kept([name]):
            rows.append((name, "all", cfg.study.cost, instead))
            continue
        study, _ = measured(name)
        if changed := changes(study, name):
            rows.append((name, "as the paper has it", cfg.study.cost, f"with {changed}"))
        if levels := absent_levels(study, name):
            rows.append((name, levels, "", ""))
    rows += [(name, *absent, "") for name in kept(SEEDS) if (absent := absent_seeds(measured(name)[0], SEEDS[name]))]
    table = pd.DataFrame(rows, columns=["study", "not run", "what it costs", "run instead"])
    return Finding("Not run", (WHY,), table.assign(study=[f"`{name}`" for name in table["study"]]))


def changes(study, name):
    """What the runs here set that is neither an axis of the study nor without effect: "epochs=4"."""
    planned = OmegaConf.select(studies_of_the_papers()[name], "hydra.sweeper.params") or {}
    started = overrides(study, study.done["name"].iloc[0])
    return " ".join(f"{key}={value}" for key, value in started.items() if key not in (*planned, *study.axes, *ASIDE))


def absent_levels(study, name):
    """The levels of a study's axes that no run here was started with: "backbone=vgg19,resnet50"."""
    params = OmegaConf.select(studies_of_the_papers()[name], "hydra.sweeper.params") or {}  # a study of one cell has none
    started = [overrides(study, run) for run in study.done["name"]]
    absent = []
    for axis, levels in params.items():
        here = {plain_level(run[axis]) for run in started if axis in run}
        left = [level.strip() for level in levels.split(",") if plain_level(level) not in here]
        if axis != "seed" and left:
            absent.append(f"{axis}={','.join(left)}")
    return " ".join(absent)


def absent_seeds(study, planned):
    """(how many seeds are not here, what they cost); None if all are."""
    left = planned - study.done["seed"].nunique()
    if left <= 0:
        return None
    jobs, minutes = left * len(study.cells), study.done["total_s"].mean() / 60
    return f"{left} of {planned} seeds", f"{jobs} jobs of {minutes:.0f} minutes on one core, as measured"

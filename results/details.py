"""Each study that is kept here by itself: ranking, gains, the paper's numbers beside ours, stability; for some, tables of their own."""

from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pandas as pd
from omegaconf import OmegaConf
from optimizer_order import order_conclusion, order_table, order_text
from records import HERE, kept, measured, overrides

from fer_lightning.analysis import tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.markdown import section
from fer_lightning.analysis.stability_findings import stability_findings
from fer_lightning.analysis.study_record import gather
from fer_lightning.analysis.wording import listed
from fer_lightning.config.groups import CONF
from fer_lightning.runs.predictions import part_of, predictions_file, probabilities, read_predictions
from fer_lightning.training.ensembling import average

# What has been or is being measured, in the order of the page.
STUDIES = {
    "frozen_head_rates": "Pilot of the next one: three learning rates for each of S0's eight heads on a frozen EfficientNet-Lite0",
    "frozen_head_rates_above": "After the pilot and the study: a fourth rate, 0.016, for the heads with batch norm",
    "frozen_head_grid": "S0: activation x norm of a small head on a frozen EfficientNet-Lite0, 20 seeds, a rate tuned per cell",
    "compact_head_grid": "The same grid in a compact net that trains whole, 5 seeds",
    "fast_recipe_28": "recipe=fast, 28 epochs: one view, ten crops, an ensemble of three",
    "fast_recipe": "recipe=fast, 75 epochs: one view, ten crops, an ensemble of three",
    "fast_mixup": "recipe=fast, 75 epochs with mixup of 0.2",
    "cnn_batchnorm": "S1: with and without batch norm, its network and 20 epochs, one seed",
    "compact_optimizers": "S4: seven optimizers at three constant rates and more, compact net at half its widths, 5 epochs, 3 seeds",
    "compact_optimizers_above": "After it: a rate of 1 for the two optimizers whose best was the largest",
    "compact_optimizers_below": "After it: a rate of 0.0001 for the two whose best was the smallest",
    "compact_schedules": "S4: six schedules, compact net at half its widths, 60 epochs of a fifth of the images, 3 seeds",
    "compact_schedules_constant": "After it: a constant 0.01",
    "augmentation_ladder": "S3: five augmentations on the compact net at half its widths, 10 epochs with a cosine, 3 seeds",
    "architectures": "S3: its architectures by its recipe, 4 epochs instead of 50, one seed",
    "efficientnet_two_phase": "S2: two phases on EfficientNet-Lite0 at 112 pixels, 3 seeds",
    "efficientnet_ablations": "S2: the same with and without label smoothing, with AdamW and Adam",
}


def page():
    """All studies, one after the other, in Markdown."""
    return "\n\n".join(["# Measured, study by study", OPENING, *map(of_study, kept(STUDIES))]) + "\n"


def of_study(name):
    study, statistics = measured(name)
    about = f"`results/{name}`: {len(study.done)} of {study.planned} jobs. {cost(study)}"
    text, table, *more = SECTIONS.get(name, grid)(study, statistics)
    findings = [Finding(STUDIES[name], (about, *text), table), *more]
    parts = [section(_in_full(finding), 2 + (finding in more)) for finding in findings]
    return "\n\n".join(parts)


def _in_full(finding):
    return finding if finding.table is None else replace(finding, table=finding.table.rename(columns={"s": "seconds"}))


def grid(study, statistics):
    """Of any study: its verdict, the ranking, the gains, the paper's numbers beside ours, and stability."""
    gains = [finding for finding in statistics.findings if "Gain" in finding.title]
    text = (statistics.verdict.paragraph,)
    return [text, tables.ranking(study), *gains, *beside_the_paper(study), *stability(study)]


def pilot(study, _):
    return [(CHOICE, beyond(study)), choices(study)]


def constant(study, _):
    return [(CONSTANT,), tables.ranking(study)]


def rates_above(study, _):
    return [(ABOVE, more_than_chosen(study)), tables.ranking(study)]


def more_than_chosen(study):
    """What the added rate gains over the one that the pilot chose, on validation, in points."""
    pilot, _ = measured("frozen_head_rates")
    means, added = (one.done.groupby(axes)["val_accuracy"].mean() for one, axes in ((pilot, [*CELL, "optimizer.lr"]), (study, CELL[0])))
    best = {act: means[act, "bn"].max() for act in added.index}
    gained = [f"{act} {100 * (added[act] - best[act]):+.2f}" for act in added.index]
    return f"Its validation accuracy less that with the rate of the study, in points: {listed(gained)}. So much more a cell could have had."


def optimizers(study, _):
    done = with_further_rates(study)
    return [(ORDER, order_conclusion(done), order_text(done)), order_table(done)]


def schedules(study, statistics):
    text, table, *more = grid(study, statistics)
    accuracy = {row.cell.recipe: float(row.val_accuracy) for row in OmegaConf.load(CONF / "study" / "schedulers.yaml").study.published}
    places = pd.Series(accuracy).rank(ascending=False).astype(int)
    return [(SCHEDULES, *text), table.assign(**{"S4's place": table["recipe"].map(places)}), *more]


def further_rates(study, _):
    return [("Its runs are in the table above.",), None]


def views(study, _):
    table = by_views(study)
    return [(VIEWS, *[TOGETHER] * ("ensemble" in set(table["nets"]))), table, *stability(study)]


def by_views(study):
    """Accuracy of one view and of ten crops, of single nets and of the ensemble of the first three seeds."""
    rows = []
    for title, kind in (("one view", None), ("ten crops", "ten_crop")):
        suffix = f"_{kind}" if kind else ""
        scores = [study.results[name]["metrics"] for name in study.done["name"]]
        columns = {
            "val %": [score["val"][f"accuracy{suffix}"] for score in scores],
            "test %": [score["test"][f"accuracy{suffix}"] for score in scores],
            "test clean %": [score["test"][f"accuracy{suffix}_clean"] for score in scores],
            "macro F1 %": [score["test"][f"macro_f1{suffix}"] for score in scores],
        }
        rows.append({"images": title, "nets": "single", "seeds": str(len(scores))})
        rows[-1] |= {name: f"{100 * mean(v):.2f}" + (f" ± {100 * stdev(v):.2f}" if len(v) > 1 else "") for name, v in columns.items()}
        members = [HERE / study.folder.name / f"s{seed}" for seed in ENSEMBLE]
        if all(predictions_file(member, kind).exists() for member in members):
            parts = [part_of(read_predictions(member, kind), "test") for member in members]
            right = average(np.stack([probabilities(part) for part in parts]), "probabilities").argmax(1) == parts[0]["label"]
            clean = parts[0]["clean"].to_numpy(bool)
            rows.append({"images": title, "nets": "ensemble", "seeds": ", ".join(map(str, ENSEMBLE))})
            rows[-1] |= {"test %": f"{100 * right.mean():.2f}", "test clean %": f"{100 * right[clean].mean():.2f}"}
    return pd.DataFrame(rows).fillna("")


def with_further_rates(study):
    """The finished jobs of compact_optimizers with those at rates that were added afterwards, which are no axis of their own studies."""
    further = [gather(HERE / name) for name in kept(FURTHER)]
    rated = [one.done.assign(**{"optimizer.lr": [overrides(one, name)["optimizer.lr"] for name in one.done["name"]]}) for one in further]
    return pd.concat([study.done, *rated])


def beside_the_paper(study):
    """The paper's numbers beside ours; none of a study that repeats no paper."""
    found = tables.published(study)
    return [] if found is None or found.table is None else [found]


def stability(study):
    """The stability of each cell, in the columns that the label rests on; none of a study of one run a cell."""
    found = stability_findings(study.folder, study.jobs, study.ledger["study"])
    if not found or len(study.done) == len(study.cells):
        return []
    return [Finding("Stability", found[0].text[:1], found[0].table[[title for title in SHOWN if title in found[0].table]])]


def cost(study):
    """Time and machine, as the records have them."""
    return f"{study.done['total_s'].sum() / 3600:.1f} hours of one core ({listed(sorted(machines(study)))}), beside other work."


def machines(study):
    """The processors that trained it."""
    return {result["environment"]["device"] for result in study.results.values()}


def chosen(study):
    """{(activation, norm): the rate with the best mean validation accuracy}"""
    means = study.done.groupby([*CELL, "optimizer.lr"])["val_accuracy"].mean()
    return {cell: float(rates.droplevel([0, 1]).idxmax()) for cell, rates in means.groupby(level=[0, 1])}


def beyond(study):
    """Which cells chose the largest or the smallest rate that was tried."""
    tried = sorted(map(float, study.done["optimizer.lr"].unique()))
    at_the_end = [f"{act}-{norm}" for (act, norm), rate in chosen(study).items() if rate in (tried[0], tried[-1])]
    if not at_the_end:
        return "No cell chose the largest or the smallest rate."
    return f"{listed(at_the_end)} chose the largest or the smallest of the rates: beyond it there may be a better one."


def choices(study):
    table = study.done.pivot_table(index=CELL, columns="optimizer.lr", values="val_accuracy", aggfunc="mean")
    table = (100 * table[sorted(table, key=float)]).map("{:.2f}".format).reset_index()
    rates = chosen(study)
    return table.assign(chosen=[f"{rates[cell]:g}" for cell in zip(table["head.act"], table["head.norm"], strict=True)])


OPENING = (
    "What they say together, and what was not run, is in [Measured](../results/README.md). `python -m fer_lightning.report results/NAME` "
    "rebuilds the whole report of one of them."
)

CHOICE = (
    "Mean accuracy on PublicTest, in %, of three seeds that the study itself does not use; the best rate of each cell is the one that "
    "`study=frozen_head_grid` is to train with."
)

CELL = ["head.act", "head.norm"]

ENSEMBLE = (0, 1, 2)  # the seeds, fixed before any was trained

VIEWS = "One view is the centre of 46 pixels."

TOGETHER = "The ensemble is the mean of the probabilities of three seeds that were fixed beforehand."

ORDER = (
    "Mean accuracy on PublicTest, in %, and in brackets the place among those with that rate. The rate of each optimizer's own is the one "
    "that is best on PublicTest. Five epochs of a small network are not S4's 300 epochs of a VGG."
)

SCHEDULES = (
    "Nesterov momentum from 0.01, the constant from 0.001, as S4 has them; `four_stage_vgg` is the plateau. S4's places are those by "
    "validation accuracy (S4-29 to S4-34)."
)

CONSTANT = "S4's constant rate is a tenth of what the other schedules start from; here it is the same."

ABOVE = "The seeds of the pilot, so its column of validation is to be set beside the pilot's. It was run afterwards and chose no rate."

SHOWN = (
    *("cell", "label", "S", "90 % interval of S", "spikes per 1,000 steps", "oscillation", "jitter, points"),
    *("gradient volatility", "inactive units %", "seed SD, points", "churn %"),
)

FURTHER = ("compact_optimizers_above", "compact_optimizers_below")


VIEWED = ("fast_recipe_28", "fast_recipe", "fast_mixup")

# {study: (study, its statistics) -> sentences, a table and further Findings}; grid, if it is not here.
SECTIONS = {
    "frozen_head_rates": pilot,
    "frozen_head_rates_above": rates_above,
    "compact_optimizers": optimizers,
    **dict.fromkeys(FURTHER, further_rates),
    "compact_schedules": schedules,
    "compact_schedules_constant": constant,
    **dict.fromkeys(VIEWED, views),
}

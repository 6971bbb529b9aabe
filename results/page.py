"""Write results/README.md, its picture and the measured part of the front page from the records here.

    python results/page.py [--check]

With --check: say whether both pages are what the records say.
"""

import argparse
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd
from claims import CLAIMS, NOT_RUN
from cut_offs import cut_off_table, split_runs
from measures import correlations
from omegaconf import OmegaConf
from optimizer_order import order_conclusion, order_table, order_text

from fer_lightning.analysis import tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.markdown import markdown_table, to_markdown
from fer_lightning.analysis.stability_findings import stability_findings
from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.study_record import gather
from fer_lightning.analysis.wording import listed, percent
from fer_lightning.config.groups import CONF
from fer_lightning.process.files import replace_file
from fer_lightning.runs.predictions import part_of, predictions_file, probabilities, read_predictions
from fer_lightning.training.ensembling import average

HERE = Path(__file__).parent
PAGE, FRONT = HERE / "README.md", HERE.parent / "README.md"
PICTURE = HERE.parent / "docs" / "measured.png"
HEADLINE = "frozen_head_grid"  # the study of the front page
MARKS = "<!-- measured: written by results/page.py -->\n", "<!-- /measured -->\n"

# What there is to measure, in this order. A study without a folder here has not been run.
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
    "architectures": "S3: five of thirteen architectures, its recipe, 4 epochs instead of 50, one seed",
    "efficientnet_two_phase": "S2: two phases on EfficientNet-Lite0 at 112 pixels, 3 seeds",
    "efficientnet_ablations": "S2: the same with and without label smoothing, with AdamW and Adam",
}

# Over these, all of several cells and seeds, it is asked which measure of stability predicts anything.
PREDICTED = ("frozen_head_grid", "compact_head_grid", "compact_optimizers", "compact_schedules", "augmentation_ladder")

OPENING = (
    "What this framework has measured on the real FER-2013, each number read from the records in this folder by `results/page.py`. "
    "`python -m fer_lightning.report results/NAME` rebuilds the whole report of a study; `results/keep.py` put it here. "
    "No number of a paper stands in a measured column.",
)


def findings():
    here = kept(STUDIES)
    absent = [(f"`{name}`", what, whole_cost(name)) for name, what in STUDIES.items() if name not in here]
    left = Finding("Not run yet", (ABSENT,) if absent else (), pd.DataFrame(absent, columns=["study", "what", "the whole study"]))
    predicted = {name: measured(name)[0] for name in kept(PREDICTED)}
    details = [finding for name in here for finding in of_study(name, STUDIES[name])]
    return [in_short(), leaks(), prediction(list(predicted.values())), single_runs(predicted), left, *details]


def whole_cost(name):
    """What a study costs as the paper has it, as its file says; "" of runs that were added to another one."""
    file = CONF / "study" / f"{name}.yaml"
    return OmegaConf.load(file).study.cost if file.exists() else ""


def kept(names):
    """Those of some studies that have records here."""
    return [name for name in names if (HERE / name / "study.json").exists()]


def in_short():
    """The papers' conclusions and what the records say of them."""
    rows = []
    for claim in CLAIMS:
        answer = claim.judge(measured(claim.study)[0]) if kept([claim.study]) else NOT_RUN
        row = {"paper": claim.paper, "what it concludes": claim.says, "so here": answer.word, "measured, in points": answer.measured}
        rows.append(row | {"with": f"{claim.here} (`{claim.study}`)" if answer.measured else ""})
    return Finding("In short", (SO_HERE,), pd.DataFrame(rows))


def leaks():
    """How much higher accuracy is on all test images than on those without a twin, of each study."""
    rows = []
    for name in kept(STUDIES):
        done = measured(name)[0].done
        if done["test_accuracy_clean"].notna().any():
            every, clean = (100 * done[f"test_accuracy{suffix}"].astype(float) for suffix in ("", "_clean"))
            gaps = (every - clean).to_numpy()
            row = {"study": f"`{name}`", "runs": len(done), "test %": f"{every.mean():.2f}", "test clean %": f"{clean.mean():.2f}"}
            rows.append(row | {"leak, points": f"{gaps.mean():.2f}", "in single runs": f"{gaps.min():.2f} to {gaps.max():.2f}"})
    clean = part_of(read_predictions(next((HERE / HEADLINE).glob("*/predictions.parquet")).parent), "test")["clean"]
    return Finding("The leak", (LEAK.format(percent(1 - clean.mean())),), pd.DataFrame(rows))


def conclusion(name):
    """What a study says in one sentence: its verdict, with the gains of one axis at each level of the other, if it has two."""
    _, statistics = measured(name)
    gains = statistics.contrasts[statistics.contrasts["kind"] == "gain"]
    rows = (100 * gains.set_index("name")[["estimate", "low", "high"]]).itertuples()
    points = [f"{name} {gain:+.2f} ({low:+.2f} to {high:+.2f})" for name, gain, low, high in rows]
    none = " No gain by itself differs from 0." if len(gains) and (gains["low"] <= 0).all() and (gains["high"] >= 0).all() else ""
    return f"{statistics.verdict.conclusion} In points: {listed(points)}.{none}" if points else statistics.verdict.conclusion


@cache
def measured(name):
    """(StudyRecord, StudyStatistics) of a study that is kept here."""
    study = gather(HERE / name)
    return study, study_findings(study.folder, study.jobs, study.ledger["study"], study.never_begun)


def of_study(name, what):
    study, statistics = measured(name)
    about = f"`results/{name}`: {len(study.done)} of {study.planned} jobs. {cost(study)}"
    text, table, *more = SECTIONS.get(name, grid)(study, statistics)
    return [Finding(what, (about, *text), table), *more]


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
    return [(ABOVE,), tables.ranking(study)]


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
    rated = [one.done.assign(**{"optimizer.lr": [_overrides(one, name)["optimizer.lr"] for name in one.done["name"]]}) for one in further]
    return pd.concat([study.done, *rated])


def _overrides(study, name):
    return dict(override.split("=", 1) for override in study.results[name]["job"]["overrides"])


def beside_the_paper(study):
    """The paper's accuracies beside ours; none of a study that repeats no paper."""
    found = tables.published(study)
    if found is None or found.table is None:
        return []
    return [replace(found, table=found.table[found.table["number"].str.contains("accuracy")])]


def stability(study):
    """The stability of each cell, in the columns that the label rests on; none of a study of one run a cell."""
    found = stability_findings(study.folder, study.jobs, study.ledger["study"])
    if not found or len(study.done) == len(study.cells):
        return []
    return [Finding("Stability", found[0].text[:1], found[0].table[[title for title in SHOWN if title in found[0].table]])]


def prediction(studies):
    """Which measure of stability predicts anything, over the runs of several studies."""
    pairs = correlations(studies)
    pairs["shown"] = [f"{row.rho:+.2f}{' *' if row.p_holm < 0.05 else ''} ({row.n})" for row in pairs.itertuples()]
    table = pairs.pivot(index="measure", columns="predicted", values="shown").reindex(index=pairs["measure"].unique())
    table = table[list(dict.fromkeys(pairs["predicted"]))].fillna("").reset_index()
    said = PREDICTION.format(listed([study.folder.name for study in studies]), len(pairs))
    found = [f"{row.measure} with {row.predicted} {row.rho:+.2f}" for row in pairs[pairs["p_holm"] < 0.05].itertuples()]
    return Finding("Which measure of stability predicts anything?", (said, f"Differ from 0: {listed(found) or 'none'}."), table)


def single_runs(studies):
    """The cut-offs of the label of a single run among the runs measured here."""
    usual, above = split_runs(studies)
    said = [f"{what}: {labels(runs)}." for what, runs in (("Suitable rates", usual), ("Too large ones", above)) if len(runs)]
    return Finding("The cut-offs of a single run", (CUT, " ".join(said)), cut_off_table(usual, above))


def labels(runs):
    """How many runs have each label, in words."""
    return listed(f"{count} {label}" for label, count in runs["label"].value_counts().items())


def cost(study):
    """Time and machine, as the records have them."""
    machines = sorted({f"{r['environment']['device']}, {r['environment']['threads']} threads" for r in study.results.values()})
    return f"{study.done['total_s'].sum() / 3600:.1f} hours of {'; '.join(machines)}, beside other work."


ABSENT = "For want of computing time: two CPU cores, and no GPU."

SO_HERE = (
    "Yes and no rest on intervals of 95 % that hold together, Student's over the seeds; of one seed Wilson's over the images. Not decided: "
    'the intervals allow both. "Minus it" is the accuracy of another cell less that of the one in question. A smaller network or fewer '
    "epochs than the paper's say whether its conclusion holds in general, not whether the paper measured well."
)

LEAK = (
    "{} % of the test images have a twin among the images that were trained or selected on. How much higher accuracy is on all test images "
    "than on the clean ones, those without a twin: one view, the mean over all runs of a study."
)

SHOWN = (
    *("cell", "label", "S", "90 % interval of S", "spikes per 1,000 steps", "oscillation", "jitter, points"),
    *("gradient volatility", "inactive units %", "seed SD, points", "churn %"),
)

PREDICTION = (
    "Spearman's rank correlation of each measure (docs/stability.md) with what it may predict, over {}; in brackets how many. "
    "Between cells: of the means over seeds. Within cells: of single runs, each less the mean of its cell: does it say which seed is the "
    "better one? Ranks are those within a study. * p below 0.05, adjusted by Holm for all {} correlations of the table."
)

CUT = (
    "Measures of runs with a suitable learning rate (the two grids of heads, and the optimizers at the best of three rates) and with one "
    "above the best of their optimizer: median, 90 % and 99 % quantile, in brackets how many runs. docs/stability.md has the rule."
)

FURTHER = ("compact_optimizers_above", "compact_optimizers_below")

# {study: (study, its statistics) -> sentences, a table and further Findings}; grid, if it is not here.
SECTIONS = {
    "frozen_head_rates": pilot,
    "frozen_head_rates_above": rates_above,
    "compact_optimizers": optimizers,
    **dict.fromkeys(FURTHER, further_rates),
    "compact_schedules": schedules,
    "compact_schedules_constant": constant,
    "fast_recipe_28": views,
    "fast_recipe": views,
    "fast_mixup": views,
}

CHOICE = (
    "Mean accuracy on PublicTest, in %, of three seeds that the study itself does not use; the best rate of each cell is the one that "
    "`study=frozen_head_grid` is to train with."
)


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


def chosen(study):
    """{(activation, norm): the rate with the best mean validation accuracy}"""
    means = study.done.groupby(["head.act", "head.norm", "optimizer.lr"])["val_accuracy"].mean()
    return {cell: float(rates.droplevel([0, 1]).idxmax()) for cell, rates in means.groupby(level=[0, 1])}


def beyond(study):
    """Which cells chose the largest or the smallest rate that was tried."""
    tried = sorted(map(float, study.done["optimizer.lr"].unique()))
    at_the_end = [f"{act}-{norm}" for (act, norm), rate in chosen(study).items() if rate in (tried[0], tried[-1])]
    if not at_the_end:
        return "No cell chose the largest or the smallest rate."
    return f"{listed(at_the_end)} chose the largest or the smallest of the rates: beyond it there may be a better one."


def choices(study):
    table = study.done.pivot_table(index=["head.act", "head.norm"], columns="optimizer.lr", values="val_accuracy", aggfunc="mean")
    table = (100 * table[sorted(table, key=float)]).map("{:.2f}".format).reset_index()
    rates = chosen(study)
    return table.assign(chosen=[f"{rates[cell]:g}" for cell in zip(table["head.act"], table["head.norm"], strict=True)])


def front(text):
    """The text of the front page with its measured part anew: the verdict and the ranking of the headline study."""
    before, _, rest = text.partition(MARKS[0])
    _, found, after = rest.partition(MARKS[1])
    if not found or not kept([HEADLINE]):
        return text
    study, _ = measured(HEADLINE)
    about = f"{STUDIES[HEADLINE]}; {len(study.done)} runs on the real FER-2013. {conclusion(HEADLINE)}"
    link = "[All that was measured, and what was not](results/README.md)."
    table = markdown_table(tables.ranking(study).drop(columns="s"))
    parts = [MARKS[0], about, f"![Every cell, every seed](docs/{PICTURE.name})", table, link, MARKS[1]]
    return before + "\n\n".join(part.strip("\n") for part in parts) + "\n" + after


def draw():
    """Write the picture of the headline study."""
    from fer_lightning.analysis.page.study_figures import ranking
    from fer_lightning.figures.matplotlib_files import write_figures

    if kept([HEADLINE]):
        write_figures({PICTURE.stem: ranking(gather(HERE / HEADLINE))}, PICTURE.parent, "png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page = to_markdown("Measured", OPENING, findings(), [("Every cell, every seed", f"../docs/{PICTURE.name}")] if PICTURE.exists() else [])
    written = {PAGE: page, FRONT: front(FRONT.read_text("utf-8"))}
    if parser.parse_args().check:
        wrong = [str(path) for path, text in written.items() if path.read_text("utf-8") != text]
        if wrong:
            sys.exit(f"{', '.join(wrong)}: not what the records say. Run python results/page.py")
        return
    for path, text in written.items():
        replace_file(path, text)
    draw()


if __name__ == "__main__":
    main()

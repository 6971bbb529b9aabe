"""Write results/README.md from the records beside it. With --check: say whether it is what they say.

    python results/page.py [--check]
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from measures import correlations

from fer_lightning.analysis import tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.markdown import to_markdown
from fer_lightning.analysis.stability_findings import stability_findings
from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.study_record import gather
from fer_lightning.process.files import replace_file

HERE = Path(__file__).parent
PAGE = HERE / "README.md"

# What there is to measure, in this order. A study without a folder here has not been run.
STUDIES = {
    "frozen_head_rates": "Pilot of the next one: three learning rates for each of S0's eight heads on a frozen EfficientNet-Lite0",
    "frozen_head_grid": "S0: activation x norm of a small head on a frozen EfficientNet-Lite0, 20 seeds, a rate tuned per cell",
    "compact_head_grid": "The same grid in a compact net that trains whole, 5 seeds",
    "fast_recipe": "recipe=fast, 28 and 75 epochs, 5 seeds, one view, ten crops, ensembles",
    "cnn_batchnorm": "S1: with and without batch norm, 5 seeds",
    "optimizers": "S4: seven optimizers x two arms on the compact net, 3 seeds",
    "schedulers": "S4: six schedules on the compact net, 3 seeds",
    "augmentation_ladder": "S3: five augmentations on the compact net, 3 seeds",
    "architectures": "S3: thirteen architectures at a reduced, equal budget, one seed",
    "efficientnet_two_phase": "S2: two phases on EfficientNet-Lite0 at 112 pixels, 3 seeds",
}

OPENING = (
    "What this framework has measured on the real FER-2013, each number read from the records in this folder by `results/page.py`. "
    "`python -m fer_lightning.report results/NAME` rebuilds the whole report of a study; `results/keep.py` put it here. "
    "No number of a paper stands in a measured column.",
)


def findings():
    measured, absent = [], []
    for name, what in STUDIES.items():
        if (HERE / name / "study.json").exists():
            measured += of_study(name, what)
        else:
            absent.append((f"`{name}`", what))
    table = pd.DataFrame(absent, columns=["study", "what"])
    return [*measured, Finding("Not run yet", ("For want of computing time.",) if absent else (), table)]


def of_study(name, what):
    study = gather(HERE / name)
    text = [f"`results/{name}`: {len(study.done)} of {study.planned} jobs. {cost(study)}"]
    if name == "frozen_head_rates":
        return [Finding(what, (*text, CHOICE), choices(study))]
    statistics = study_findings(study.folder, study.jobs, study.ledger["study"], study.never_begun)
    gains = [finding for finding in statistics.findings if "Gain" in finding.title]
    opening = Finding(what, (*text, statistics.verdict.paragraph, leak(study)), tables.ranking(study))
    return [opening, *gains, *filter(None, [tables.published(study)]), *stability(study), *prediction(study)]


def stability(study):
    """The stability of each cell, in the columns that the label rests on; none of a study of one run a cell."""
    found = stability_findings(study.folder, study.jobs, study.ledger["study"])
    if not found or len(study.done) == len(study.cells):
        return []
    return [Finding("Stability", found[0].text[:1], found[0].table[[title for title in SHOWN if title in found[0].table]])]


def prediction(study):
    """Which measure of stability predicts anything in a study of several cells."""
    pairs = correlations(study)
    if not len(pairs):
        return []
    pairs["shown"] = [f"{row.rho:+.2f}{' *' if row.p_holm < 0.05 else ''}" for row in pairs.itertuples()]
    pairs["column"] = [f"{row.predicted} (n {row.n})" for row in pairs.itertuples()]
    table = pairs.pivot(index="measure", columns="column", values="shown").reindex(index=pairs["measure"].unique())
    table = table[list(dict.fromkeys(pairs["column"]))].fillna("").reset_index()
    return [Finding("Which measure of stability predicts anything?", (PREDICTION.format(len(pairs)),), table)]


def cost(study):
    """Time and machine, as the records have them."""
    machines = sorted({f"{r['environment']['device']}, {r['environment']['threads']} threads" for r in study.results.values()})
    return f"{study.done['total_s'].sum() / 3600:.1f} hours of {'; '.join(machines)}, beside other work."


def leak(study):
    """How much higher accuracy on all test images is than on those without a twin."""
    done = study.done
    gap = 100 * (done["test_accuracy"] - done["test_accuracy_clean"])
    spread = f" ({gap.min():.2f} to {gap.max():.2f} in single runs)" if len(gap) > 1 else ""
    return f"The leak: accuracy is {gap.mean():.2f} points higher on all test images than on the clean ones{spread}."


SHOWN = (
    *("cell", "label", "S", "90 % interval of S", "spikes per 1,000 steps", "oscillation", "jitter, points"),
    *("gradient volatility", "inactive units %", "seed SD, points", "churn %"),
)

PREDICTION = (
    "Spearman's rank correlation of each measure (docs/stability.md) with what it may predict. Between cells: of the means over seeds. "
    "Within cells: of single runs, each less the mean of its cell: does it say which seed is the better one? "
    "* p below 0.05, adjusted by Holm for all {} correlations of the table."
)

CHOICE = (
    "Mean accuracy on PublicTest, in %, of three seeds that the study itself does not use; the best rate of each cell is the one that "
    "`study=frozen_head_grid` is to train with."
)


def chosen(study):
    """{(activation, norm): the rate with the best mean validation accuracy}"""
    means = study.done.groupby(["head.act", "head.norm", "optimizer.lr"])["val_accuracy"].mean()
    return {cell: float(rates.droplevel([0, 1]).idxmax()) for cell, rates in means.groupby(level=[0, 1])}


def choices(study):
    table = study.done.pivot_table(index=["head.act", "head.norm"], columns="optimizer.lr", values="val_accuracy", aggfunc="mean")
    table = (100 * table[sorted(table, key=float)]).map("{:.2f}".format).reset_index()
    rates = chosen(study)
    return table.assign(chosen=[f"{rates[cell]:g}" for cell in zip(table["head.act"], table["head.norm"], strict=True)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    page = to_markdown("Measured", OPENING, findings())
    if not parser.parse_args().check:
        replace_file(PAGE, page)
    elif PAGE.read_text() != page:
        sys.exit("results/README.md is not what the records say: run python results/page.py")


if __name__ == "__main__":
    main()

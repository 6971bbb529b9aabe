"""Write results/README.md, results/each_study.md, their picture and the measured part of the front page from the records here.

    python results/page.py [--check]

With --check: say whether the pages are what the records say.
"""

import argparse
import sys
from collections import Counter

import details
import pandas as pd
from claims import CLAIMS, NO, NOT_RUN, OPEN, YES
from cut_offs import cut_off_table, split_runs
from measures import NAMES, correlations
from not_run import not_run
from records import HERE, kept, measured

from fer_lightning.analysis import tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.markdown import markdown_table, section
from fer_lightning.analysis.study_record import gather
from fer_lightning.analysis.wording import listed, percent
from fer_lightning.process.files import replace_file
from fer_lightning.runs.predictions import part_of, read_predictions

PAGE, STUDIES_PAGE, FRONT = HERE / "README.md", HERE / "each_study.md", HERE.parent / "README.md"
PICTURE = HERE.parent / "docs" / "measured.png"
HEADLINE = "frozen_head_grid"  # the study of the front page
MARKS = "<!-- measured: written by results/page.py -->\n", "<!-- /measured -->\n"

# Over these, all of several cells and seeds, it is asked which measure of stability predicts anything.
PREDICTED = ("frozen_head_grid", "compact_head_grid", "compact_optimizers", "compact_schedules", "augmentation_ladder")

OPENING = (
    "What this framework has measured on the real FER-2013, each number read from the records in this folder by `results/page.py`; "
    "`results/keep.py` put them here. No number of a paper stands in a measured column. Each study by itself: "
    "[study by study](each_study.md)."
)


def page():
    """The page that says what all studies say together, in Markdown."""
    predicted = {name: measured(name)[0] for name in kept(PREDICTED)}
    findings = [leaks(), prediction(list(predicted.values())), single_runs(predicted), studies(), not_run()]
    picture = f"![Every cell, every seed, of `{HEADLINE}`](../docs/{PICTURE.name})"
    return "\n\n".join(["# Measured", OPENING, section(in_short()), picture, *map(section, findings)]) + "\n"


def in_short():
    """The papers' conclusions and what the records say of them."""
    rows = []
    for claim in CLAIMS:
        answer = claim.judge(measured(claim.study)[0]) if kept([claim.study]) else NOT_RUN
        row = {"paper": claim.paper, "what it concludes": claim.says, "so here": answer.word, "measured, in points": answer.measured}
        rows.append(row | {"with": f"{claim.here} (`{claim.study}`)" if answer.measured else ""})
    counts = Counter(row["so here"] for row in rows)
    said = COUNTS.format(*(counts[word] for word in (YES, NO, OPEN)), len(rows))
    return Finding("In short", (said, SO_HERE), pd.DataFrame(rows))


def leaks():
    """How much higher accuracy is on all test images than on those without a twin, of each study."""
    rows = []
    for name in kept(details.STUDIES):
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


def prediction(studies):
    """Which measure of stability predicts anything, over the runs of several studies."""
    pairs = correlations(studies).replace({"measure": NAMES})
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


def studies():
    """What has been run, with its time and the machines."""
    rows, machines = [], set()
    for name in kept(details.STUDIES):
        study, _ = measured(name)
        hours = f"{study.done['total_s'].sum() / 3600:.1f}"
        machines |= details.machines(study)
        rows.append({"study": f"`{name}`", "what": details.STUDIES[name], "runs": len(study.done), "hours": hours})
    table = pd.DataFrame(rows)
    said = RUN.format(table["runs"].sum(), table["hours"].astype(float).sum(), listed(sorted(machines)))
    return Finding("The studies", (said,), table)


def labels(runs):
    """How many runs have each label, in words."""
    return listed(f"{count} {label}" for label, count in runs["label"].value_counts().items())


COUNTS = "Of the papers' conclusions {} hold here, {} do not, and {} are not decided, of {}."

RUN = "{} runs, {:.0f} hours of one core ({}), beside other work."

SO_HERE = (
    "Yes and no rest on intervals of 95 % that hold together, Student's over the seeds; of one seed Wilson's over the images, and "
    "Tango's for two networks on the same images. Not decided: the intervals allow both. 'Minus it' is the accuracy of another cell less "
    "that of the one in question. A smaller network or fewer epochs than the paper's say whether its conclusion holds in general, not "
    "whether the paper measured well."
)

LEAK = (
    "{} % of the test images have a twin among the images that were trained or selected on. How much higher accuracy is on all test images "
    "than on the clean ones, those without a twin: one view, the mean over all runs of a study."
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


def front(text):
    """The text of the front page with its measured part anew: the verdict and the ranking of the headline study."""
    before, _, rest = text.partition(MARKS[0])
    _, found, after = rest.partition(MARKS[1])
    if not found or not kept([HEADLINE]):
        return text
    study, _ = measured(HEADLINE)
    about = f"{details.STUDIES[HEADLINE]}; {len(study.done)} runs on the real FER-2013. {conclusion(HEADLINE)}"
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
    written = {PAGE: page(), STUDIES_PAGE: details.page(), FRONT: front(FRONT.read_text("utf-8"))}
    if parser.parse_args().check:
        wrong = [str(path) for path, text in written.items() if not path.exists() or path.read_text("utf-8") != text]
        if wrong:
            sys.exit(f"{', '.join(wrong)}: not what the records say. Run python results/page.py")
        return
    for path, text in written.items():
        replace_file(path, text)
    draw()


if __name__ == "__main__":
    main()

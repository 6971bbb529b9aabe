"""Write results/README.md, results/each_study.md, their picture and the measured part of the front page from the records here.

    python results/page.py [--check]

With --check: say whether the pages are what the records say.
"""

import argparse
import sys
from collections import Counter

import details
import pandas as pd
from claims import CLAIMS
from cut_offs import cut_off_table, runs_of, split_runs
from judges import NOT_RUN, WORDS, in_points, points
from leak import leaks
from measures import NAMES, correlations
from not_run import not_run
from records import HERE, kept, measured

from fer_lightning.analysis import tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.markdown import markdown_table, section
from fer_lightning.analysis.study_record import gather
from fer_lightning.analysis.wording import listed
from fer_lightning.process.files import replace_file

PAGE, STUDIES_PAGE, FRONT = HERE / "README.md", HERE / "each_study.md", HERE.parent / "README.md"
PICTURE = HERE.parent / "docs" / "measured.png"
HEADLINE = "frozen_head_grid"  # the study of the front page
MARKS = "<!-- measured: written by results/page.py -->\n", "<!-- /measured -->\n"

# Over these, all of several cells and seeds, it is asked which measure of stability predicts anything.
PREDICTED = ("frozen_head_grid", "compact_head_grid", "compact_optimizers", "compact_schedules", "augmentation_ladder")

# The cut-offs of a single run were set without these.
LATER = ("compact_schedules", "compact_schedules_constant", "augmentation_ladder", "architectures", "efficientnet_two_phase")
LATER += ("efficientnet_ablations", "fast_recipe_28", "fast_recipe", "fast_mixup")

OPENING = (
    "What this framework has measured on the real FER-2013, each number read from the records in this folder by `results/page.py`; "
    "`results/keep.py` put them here. No number of a paper stands in a measured column. Each study by itself: "
    "[study by study](each_study.md)."
)


def page():
    """The page that says what all studies say together, in Markdown."""
    predicted = {name: measured(name)[0] for name in kept(PREDICTED)}
    later = [measured(name)[0] for name in kept(LATER)]
    findings = [leaks(), most_accurate(), prediction(list(predicted.values())), single_runs(predicted, later), studies(), not_run()]
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
    said = COUNTS.format(len(rows), listed(f"{counts[word]} {word}" for word in WORDS if counts[word]))
    return Finding("In short", (said, *SO_HERE), pd.DataFrame(rows))


def conclusion(name):
    """What a study says in a few sentences: its verdict, and the gains of one axis at each level of the other, if it has two."""
    _, statistics = measured(name)
    gains, clean = (in_points(statistics.contrasts, kind) for kind in ("gain", "gain on clean images"))
    if not len(gains):
        return statistics.verdict.conclusion
    said = [statistics.verdict.conclusion, f"In points, on all test images: {_all(gains)}."]
    if len(clean):
        clean = clean.assign(name=clean["name"].str.partition(",")[0])
        said.append(f"On those without a twin in training or validation: {_all(clean)}.")
    return " ".join(said)


def _all(rows):
    return listed(f"{row.name} {points(row)}" for row in rows.itertuples(index=False))


def prediction(studies):
    """Which measure of stability predicts anything, over the runs of several studies."""
    pairs = correlations(studies).replace({"measure": NAMES})
    pairs["shown"] = [f"{row.rho:+.2f}{' *' if row.p_holm < 0.05 else ''} ({row.n})" for row in pairs.itertuples()]
    table = pairs.pivot(index="measure", columns="predicted", values="shown").reindex(index=pairs["measure"].unique())
    table = table[list(dict.fromkeys(pairs["predicted"]))].fillna("").reset_index()
    said = PREDICTION.format(listed([study.folder.name for study in studies]), len(pairs))
    parts = {studies[0].folder.name: correlations(studies[:1]), "the others": correlations(studies[1:])}
    found = [_apart(row, parts) for row in pairs[pairs["p_holm"] < 0.05].itertuples()]
    return Finding("Which measure of stability predicts anything?", (said, *found), table)


def _apart(row, parts):
    """A correlation in words, with that in one study and in the others. parts: {name: `correlations`}"""
    each = []
    for name, pairs in parts.items():
        same = pairs[(pairs["measure"].replace(NAMES) == row.measure) & (pairs["predicted"] == row.predicted)]
        each += [f"in {name} {one.rho:+.2f} ({one.n})" for one in same.itertuples()]
    outcome, _, where = row.predicted.partition(", ")
    return f"{where.capitalize()}, {outcome} {'falls' if row.rho < 0 else 'rises'} with {row.measure}: {row.rho:+.2f}; {listed(each)}."


def single_runs(studies, later):
    """The cut-offs of the label of a single run among the runs measured here. later: studies that the cut-offs were not set on"""
    usual, above = split_runs(studies)
    groups = {"usual": usual, "rate too large": above, "later": runs_of(later)}
    said = [f"{what.capitalize()}: {labels(runs)}." for what, runs in groups.items() if len(runs)]
    return Finding("The cut-offs of a single run", (CUT, " ".join(said)), cut_off_table(groups))


def most_accurate():
    """The scores of the nets trained for accuracy."""
    tables = {name: details.by_views(measured(name)[0]).assign(study=f"`{name}`") for name in kept(details.VIEWED)}
    table = pd.concat(tables.values(), ignore_index=True)
    return Finding("The most accurate", (), table[["study", *[column for column in table if column != "study"]]])


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


COUNTS = "{} conclusions and numbers of the papers: {}."

RUN = "{} runs, {:.0f} hours of one core ({}), beside other work."

SO_HERE = (
    "Accuracy is that of the test part, if nothing else is said; S3 and S4 compare augmentations, optimizers and schedules on validation. "
    "A smaller network or fewer epochs than the paper's show what holds there, not whether the paper measured well.",
    "Yes and no rest on intervals of 95 %, adjusted for how many comparisons a study makes (docs/statistics.md). They hold for other seeds "
    "and other images; for other seeds alone where predictions are not kept (the optimizers); for other images alone where each cell has "
    "one run. Those of stability are of 90 %, over seeds. Not decided: the interval allows both. Agrees, differs: the paper's number lies "
    "in our interval, or does not. 'Against it': the accuracy of another cell minus that of the one in question.",
)

PREDICTION = (
    "Spearman's rank correlation of each measure (docs/stability.md) with what it may predict, over {}; in brackets how many. "
    "Between cells: of the means over seeds. Within cells: of single runs, each less the mean of its cell: does it say which seed is the "
    "better one? Ranks are those within a study. * p below 0.05, adjusted by Holm for all {} correlations of the table; p takes runs as "
    "independent, which those of one seed are not quite."
)

CUT = (
    "Measures of runs with a usual learning rate (the two grids of heads, and the optimizers at the best of three rates), of those with a "
    "rate above the best of their optimizer, and of later studies: median, 90 % and 99 % quantile, in brackets how many runs. The cut-offs "
    "were set on the first two, so only the later ones check them. docs/stability.md has the rule."
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

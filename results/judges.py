"""How the records of a study answer what a paper concludes: a word, and the numbers that it rests on."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from records import cell_runs

from fer_lightning.analysis import two_runs
from fer_lightning.analysis.stability_of_cells import measured_runs, stability_table
from fer_lightning.analysis.statistics.contrasts import Contrast
from fer_lightning.analysis.statistics.correctness import read_answers
from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.statistics.paired_tests import contrast_tests
from fer_lightning.analysis.wording import listed
from fer_lightning.config.cell_names import plain_level
from fer_lightning.config.registered_analysis import registered
from fer_lightning.data.faces import classes_of
from fer_lightning.runs.predictions import part_of, predicted, probabilities, read_predictions

YES, NO, OPEN, OTHER, ABSENT = "yes", "no", "not decided", "not comparable", "not run"
# Of one run each, for other images but not for other seeds.
ONCE = {YES: "yes (one run)", NO: "no (one run)", OPEN: OPEN}
# A number of the paper lies in our interval, or does not.
AGREES, DIFFERS = "agrees", "differs"
# In the order in which they are counted.
WORDS = (YES, ONCE[YES], AGREES, NO, ONCE[NO], DIFFERS, OPEN, OTHER, ABSENT)


class Answer(NamedTuple):
    """word: one of WORDS; measured: the numbers that it rests on, in words"""

    word: str
    measured: str


NOT_RUN = Answer(ABSENT, "")

# What a reader calls some cells.
TITLES = {
    "four_stage_vgg": "plateau",
    "four_stage_vgg_restarts": "restarts",
    "four_stage_vgg_cosine": "cosine",
    "four_stage_vgg_step": "steps",
    "four_stage_vgg_one_cycle": "one cycle",
    "four_stage_vgg_constant": "constant 0.001",
}


def points(row):
    return f"{row.estimate:+.2f} ({row.low:+.2f} to {row.high:+.2f})"


def sign_of(rows, sign):
    """YES if each interval lies on the side of `sign`, NO if one lies on the other side."""
    low, high = (rows["low"], rows["high"]) if sign > 0 else (-rows["high"], -rows["low"])
    return NO if (high < 0).any() else YES if (low > 0).all() else OPEN


def in_points(contrasts, kind):
    """The contrasts of one kind."""
    rows = contrasts[contrasts["kind"] == kind].copy()
    rows[["estimate", "low", "high"]] *= 100
    return rows


def statistics(study, reference=None, jobs=None):
    """The StudyStatistics of a study, or of some of its jobs, with another reference than the registered one."""
    about = study.ledger["study"]
    if reference is not None:
        about = about | {"analysis": (about.get("analysis") or {}) | {"reference": reference}}
    return study_findings(study.folder, study.jobs if jobs is None else jobs, about, study.never_begun)


def against(study, cell, rate=None):
    """Every other cell of a study minus `cell`: a row each with name, estimate, low and high in points, by test accuracy.

    rate: of the jobs that are looked at, None: of all
    """
    jobs = study.jobs
    if rate is not None:
        jobs = jobs[jobs["optimizer.lr"].astype(float) == rate]
    rows = in_points(statistics(study, cell, jobs).contrasts, "reference")
    return rows.assign(name=[TITLES.get(name, name) for name in rows["name"]])


def first(cell, rate=None):
    """Is this cell the best one?"""
    return lambda study: _at_one_end(against(study, cell, rate), 1)


def last(cell, rate=None):
    """Is this cell the worst one?"""
    return lambda study: _at_one_end(against(study, cell, rate), -1)


def _at_one_end(others, sign):
    """sign: 1 if no other cell is to be above, -1 if none below; others: of `against`. Shows the cell that decides, else the nearest."""
    beyond = sign * others["low" if sign == 1 else "high"]
    word = sign_of(others, -sign)
    shown = others.loc[(beyond if word == NO else sign * others["estimate"]).idxmax()]
    place = 1 + (others["estimate"] > 0).sum()
    return Answer(word, f"place {place} of {1 + len(others)}; {shown['name']} against it {points(shown)}")


def worst(cell):
    """Is every other cell better than this one? As `last`, with all differences."""

    def judge(study):
        others = against(study, cell)
        return Answer(sign_of(others, 1), f"against it: {_all(others)}")

    return judge


def _all(rows):
    return "; ".join(f"{row.name} {points(row)}" for row in rows.itertuples(index=False))


def all_beat(group, rest, rate=None):
    """Is each cell of a group better than each of the rest? Shows the pair that speaks most against it.

    group: {name: cell}; rest: names in `against`
    """

    def judge(study):
        pairs = []
        for title, cell in group.items():
            rows = against(study, cell, rate)
            pairs.append(rows[rows["name"].isin(rest)].assign(than=title))
        pairs = pd.concat(pairs, ignore_index=True)
        most = pairs.loc[pairs["low"].idxmax()]
        return Answer(sign_of(pairs, -1), f"{most['name']} against {most['than']} {points(most)}")

    return judge


def adds(cell, than, paper):
    """Does a cell have about as many points more than another one as the paper says?"""

    def judge(study):
        rows = against(study, than)
        row = rows[rows["name"] == next(iter(cell.values()))].iloc[0]
        return Answer(_as_much(row, paper), f"{points(row)}, paper {paper:+.2f}")

    return judge


def _as_much(row, paper):
    return NO if not row.low <= paper <= row.high else YES if row.low > 0 else OPEN


def better(cell, than, part="test", paper=""):
    """Is the first run of a cell better than that of another one, image by image? For studies of one seed. paper: its difference"""

    def judge(study):
        names = [cell_runs(study, one)["name"].head(1).tolist() for one in (than, cell)]
        if [] in names:
            return NOT_RUN
        parts = [part_of(read_predictions(study.folder / name), part) for [name] in names]
        labels = parts[0]["label"].to_numpy()
        row = two_runs.judge(labels, *(predicted(probabilities(part)) for part in parts))["accuracy"]
        low, gain, high = (100 * row[key] for key in ("low", "difference", "high"))
        said = f"{gain:+.2f} ({low:+.2f} to {high:+.2f}){f', paper {paper}' if paper else ''}"
        return Answer(ONCE[YES if low > 0 else NO if high < 0 else OPEN], said + " of validation" * (part == "val"))

    return judge


def together(columns):
    """(scores (seeds, cells), right answers (seeds, cells, images) or None, what contrast_tests needs of the analysis).

    columns: [(study, cell)], of which each has the same seeds; the studies may differ if their test images are the same
    """
    scores, rights = [], []
    for study, cell in columns:
        runs = cell_runs(study, cell)
        scores.append(runs["test_accuracy"].astype(float).to_numpy())
        rights.append(read_answers(study.folder, runs["name"].tolist(), "test").right)
    known = all(right is not None for right in rights)
    return np.stack(scores, 1), np.stack(rights, 1) if known else None, registered(columns[0][0].ledger["study"])


def cells_against(base, others):
    """Rows as of `against`: cells minus `base`. base: (study, cell); others: {name: (study, cell)}, of any studies with the same seeds"""
    scores, right, analysis = together([base, *others.values()])
    weights = np.eye(1 + len(others))
    contrasts = [Contrast(name, weights[place] - weights[0]) for place, name in enumerate(others, 1)]
    return in_points(contrast_tests(scores, contrasts, analysis, right).assign(kind="pair"), "pair")


def base_beats(base, others):
    """Is a cell better than each of some others? For cells of several studies.

    base: () -> (study, cell), None: the study has no records; others: {name: cell} of the claim's own study
    """

    def judge(study):
        found = base(study)
        if found is None:
            return NOT_RUN
        rows = cells_against(found, {name: (study, cell) for name, cell in others.items()})
        return Answer(sign_of(rows, -1), f"against it: {_all(rows)}")

    return judge


def depends(paper):
    """Does the gain of batch norm depend on the activation? paper: {activation: what batch norm adds in S0's table, in points}"""

    def judge(study):
        found = statistics(study)
        rows = in_points(found.contrasts, "difference of gains")
        word = {"synergy": YES, "additive": NO}.get(found.verdict.word, OPEN)
        texts = []
        for row in rows.itertuples(index=False):
            pair = row.name.rpartition(": ")[2]
            act, reference = pair.split(" against ")
            texts.append(f"{pair} {points(row)}, paper {paper()[act] - paper()[reference]:+.1f}")
        return Answer(word, f"gain of batch norm: {'; '.join(texts)}")

    return judge


def gains_most(act):
    """Does batch norm add more to this activation than to each of the others?"""

    def judge(study):
        jobs = study.jobs
        rows = in_points(statistics(study, {"head.act": act}, jobs).contrasts, "difference of gains")
        rows = rows.assign(name=[name.rpartition(": ")[2] for name in rows["name"]])
        return Answer(sign_of(rows, -1), f"gain of batch norm: {_all(rows)}")

    return judge


def gains(paper, kind="gain"):
    """Does batch norm add to each activation what S0 says it does? paper: as of `depends`; kind: of the contrasts"""

    def judge(study):
        rows = in_points(statistics(study).contrasts, kind)
        if not len(rows):
            return Answer(OPEN, "")
        rows = dict(zip(rows["name"].str.extract(r"with (\w+)")[0], rows.itertuples(), strict=True))
        words = {_as_much(row, paper()[act]) for act, row in rows.items()}
        word = NO if NO in words else OPEN if OPEN in words else YES
        return Answer(word, "; ".join(f"{act} {points(row)}, paper {paper()[act]:+.1f}" for act, row in rows.items()))

    return judge


def stabler(study):
    """Does batch norm make the training of every activation more stable? By S (docs/stability.md), smaller is stabler."""
    reference = registered(study.ledger["study"]).reference
    table = stability_table(study.folder, measured_runs(study.jobs, reference)).set_index(["head.act", "head.norm"])
    words, texts = {}, []
    for act in table.index.unique(0):
        bn, none = table.loc[(act, "bn")], table.loc[(act, "none")]
        words.setdefault(YES if bn["high"] < none["low"] else NO if bn["low"] > none["high"] else OPEN, []).append(act)
        with_it, without = (f"{row['score']:.2f} ({row['low']:.2f} to {row['high']:.2f})" for row in (bn, none))
        texts.append(f"{act} {with_it}, without {without}")
    word = NO if NO in words else OPEN if OPEN in words else YES
    each = "; ".join(f"{word} with {listed(acts)}" for word, acts in words.items())
    return Answer(word, f"{each}. S, the smaller the stabler: {'; '.join(texts)}")


def parted(*pairs):
    """Does batch norm make the images of two classes be taken for each other less often? Shares of the images of both classes."""

    def judge(study):
        rows = pd.concat([_taken_for_each_other(study, pair) for pair in pairs])
        return Answer(sign_of(rows, -1), f"share taken for each other, with it less without: {_all(rows)}")

    return judge


def _taken_for_each_other(study, pair):
    """A row as of `against`: the share of the images of two classes that is taken for the other one, with batch norm less without it."""
    acts = study.done["head.act"].unique()
    cells = [{"head.act": act, "head.norm": norm} for act in acts for norm in ("bn", "none")]
    classes = classes_of(next(iter(study.results.values())))
    one, other = (classes.index(name) for name in pair)
    mistaken = []
    for cell in cells:
        found = []
        for name in cell_runs(study, cell)["name"]:
            part = part_of(read_predictions(study.folder / name), "test")
            labels, answers = part["label"].to_numpy(), predicted(probabilities(part))
            of_both = np.isin(labels, (one, other))
            found.append(np.isin(answers[of_both], (one, other)) & (answers != labels)[of_both])
        mistaken.append(found)
    mistaken = np.array(mistaken).swapaxes(0, 1)
    contrast = Contrast(" and ".join(pair), np.tile([1, -1], len(acts)) / len(acts))
    tested = contrast_tests(mistaken.mean(2), [contrast], registered(study.ledger["study"]), mistaken)
    return in_points(tested.assign(kind="pair"), "pair")


def recalled(best, worst):
    """Does every run recall the images of one class best and those of another one worst?"""

    def judge(study):
        tables = [study.results[name]["metrics"]["test"]["per_class"] for name in study.done["name"]]
        recalls = pd.DataFrame([{name: 100 * row["recall"] for name, row in table.items()} for table in tables])
        fits = (recalls.idxmax(axis=1) == best) & (recalls.idxmin(axis=1) == worst)
        means = recalls.mean().sort_values(ascending=False)
        said = listed(f"{name} {mean:.1f} %" for name, mean in means.items())
        return Answer(YES if fits.all() else OPEN if fits.any() else NO, f"in {fits.sum()} of {len(fits)} runs; mean recall of {said}")

    return judge


def numbers(cell, metric):
    """Does a number that the paper prints of this cell lie in our interval? LookupError if it prints none."""

    def judge(study):
        rows = study.published
        for axis, level in cell.items():
            rows = rows[rows[axis].map(plain_level) == plain_level(level)]
        rows = rows[rows["metric"] == metric]
        if len(rows) != 1:
            raise LookupError(f"{study.folder.name} has {len(rows)} numbers for {metric} of {cell}, not one.")
        row = rows.iloc[0]
        why = row["verdict"].partition("not comparable: ")[2]
        if why and "no interval" not in why:
            return Answer(OTHER, f"{_beside(row)}; {why}")
        if pd.isna(row["low"]):
            return Answer(OPEN, f"{_beside(row)}; one run, no interval")
        return Answer(AGREES if row["verdict"] in ("inside", "holds") else DIFFERS, _beside(row))

    return judge


def _beside(row):
    between = "" if pd.isna(row["low"]) else f" ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
    return f"{row['metric'].replace('_', ' ')} {100 * row['measured']:.1f} %{between}, paper {row['published']} %"

"""The findings of an audit on the terminal."""

from rich.markup import escape
from rich.table import Table

from fer_lightning.data.audit import ABOUT
from fer_lightning.data.faces import CLASSES, SPLITS
from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.data.twins import BLANK_SD
from fer_lightning.process.terminal import console

RECURRING = {
    "distinct": "distinct",
    "redundant": "redundant",
    "groups": "groups of two or more",
    "largest": "images in the largest group",
    "conflicting": "groups with different labels",
    "across_splits": "groups across splits",
    "within_a_split": "groups within one split",
}

LEAKING = {
    "public_in_training": ("PublicTest", "again in Training"),
    "private_in_training": ("PrivateTest", "again in Training"),
    "private_in_training_or_public": ("PrivateTest", "again in Training or PublicTest"),
}


def show(findings):
    """Print the findings."""
    screen = console()
    screen.rule(escape(f"{findings['source']}: {findings['verdict']}"))
    for sentence in sentences(findings):
        screen.print(sentence, markup=False, highlight=False)
    kinds = {"identical": findings["identical"]}
    if findings["near"]:
        kinds[f"near, from {findings['near']['threshold']:g}"] = findings["near"]
    screen.print(_classes(findings, kinds))
    screen.print(_twins(findings, kinds))


def sentences(findings):
    """What the tables do not say, as sentences."""
    found = [ABOUT.get(findings["verdict"]) or f"Not the published FER-2013: {findings['difference']}."]
    found += [f"Fingerprint of {split}: {fingerprint}" for split, fingerprint in findings["fingerprint"].items()]
    found += [f"{n:,} images of {split} have no label." for split, n in findings["unlabelled"].items() if n]
    for part in findings["padded"]:
        published = OFFICIAL_COUNTS[part["split"]][part["class"]]
        found.append(
            f"Padded: {part['split']} has {part['pictures']:,} images of {part['class']}, published are {published:,}; "
            f"{part['repeats']:,} of them repeat others of the class."
        )
    blanks = {split: n for split, n in findings["blank"].items() if split in SPLITS and n}
    if blanks:
        places = " and ".join(f"{n:,} in {split}" for split, n in blanks.items())
        found.append(f"Blank, with a standard deviation of the grey levels below {BLANK_SD:g}: {places}.")
    return found


def _classes(findings, kinds):
    """How many images each class has, and how many of the test images recur in the parts that train or select."""
    table = _table("class", *SPLITS, *(f"{kind}, %" for kind in kinds))
    for name in CLASSES:
        counts = [_count(findings["counts"][split][name], OFFICIAL_COUNTS[split][name]) for split in SPLITS]
        shares = [kind["leaked"][name] for kind in kinds.values()]
        table.add_row(name, *counts, *("" if share is None else f"{100 * share:.1f}" for share in shares))
    totals = {split: sum(counts.values()) for split, counts in findings["counts"].items()}
    table.add_row("all", *(_count(n, sum(OFFICIAL_COUNTS[split].values())) for split, n in totals.items()))
    table.caption = "In percent: PrivateTest images that recur in Training or PublicTest."
    return table


def _count(n, published):
    return f"{n:,}" if n == published else f"{n:,} (published {published:,})"


def _twins(findings, kinds):
    """How often images recur: a row for each question, a column for each kind of twins."""
    table = _table("twins", *kinds)
    for key, title in RECURRING.items():
        table.add_row(title, *(f"{kind[key]:,}" for kind in kinds.values()))
    for key, (split, title) in LEAKING.items():
        n = sum(findings["counts"][split].values()) + findings["unlabelled"][split]
        table.add_row(f"{split} images {title}", *(_share(kind[key], n) for kind in kinds.values()))
    agreements = [kind["agreement"] for kind in kinds.values()]
    table.add_row("pairs with the same label", *(_share(a["same_label"], a["pairs"]) for a in agreements))
    return table


def _table(first, *columns):
    table = Table(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _share(n, of):
    return f"{n:,} of {of:,} ({100 * n / of:.1f} %)" if of else "none"

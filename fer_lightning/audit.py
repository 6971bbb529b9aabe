"""What copy of FER-2013 is this? Its counts, twins within and across the splits, blank pictures, padded classes.

    python -m fer_lightning.audit data                                          # near twins take a minute, the first time
    python -m fer_lightning.audit data --no-near                                # identical twins only: seconds
    python -m fer_lightning.audit data --json audit.json --sheet audit.png      # the rows of all that was found; pictures of some
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from fer_lightning.data import fer2013
from fer_lightning.data.audit import agreement, groups, padded, survey
from fer_lightning.data.faces import CLASSES, NO_LABEL, SPLITS
from fer_lightning.data.published_copy import OFFICIAL_COUNTS, difference
from fer_lightning.data.twins import BLANK_SD, blank, picture_ids
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, replace_file
from fer_lightning.process.terminal import console

NEAR = 0.94

ABOUT = {"official": "The published FER-2013, every pixel and label.", "official-lossy": "The published FER-2013, kept as JPEG."}

RECURRING = {
    "distinct": "distinct",
    "redundant": "redundant",
    "groups": "groups of two or more",
    "largest": "pictures in the largest group",
    "conflicting": "groups with different labels",
    "across_splits": "groups across splits",
    "within_a_split": "groups within one split",
}

LEAKING = {
    "public_in_training": ("PublicTest", "again in Training"),
    "private_in_training": ("PrivateTest", "again in Training"),
    "private_in_training_or_public": ("PrivateTest", "again in Training or PublicTest"),
}


def audit(faces, near=None):
    """All findings on a copy, as a dict that JSON can hold. Rows are positions in the copy, from 0 on.

    near: the similarity from which two pictures are near twins (`data.near_twins`); None looks for identical ones only
    """
    blanks = blank(faces.pixels)
    ids = picture_ids(faces.pixels)
    # Blank pictures are identical whatever they were to show, so their labels say nothing about how surely people label.
    labels = np.where(blanks, NO_LABEL, faces.labels)
    findings = {
        "source": faces.source,
        "verdict": faces.verdict,
        "difference": None if faces.verdict in ABOUT else difference(faces.counts),
        "fingerprint": faces.fingerprint,
        "counts": faces.counts,
        "unlabelled": _by_split(faces, faces.labels == NO_LABEL),
        "blank": _by_split(faces, blanks) | {"rows": np.flatnonzero(blanks).tolist()},
        "identical": survey(ids, faces) | {"agreement": agreement(ids, labels), "rows": groups(ids)},
        "near": None,
        "padded": padded(ids, faces),
    }
    if near is not None:
        from fer_lightning.data.near_twins import link, near_twins  # torch: 2 s that --help and --no-near do without

        pairs, similarities = near_twins(faces.pixels, near)
        photos = link(ids, pairs)
        listed = [[int(i), int(j), round(float(s), 4)] for (i, j), s in zip(pairs, similarities, strict=True)]
        found = {"agreement": agreement(ids, labels, pairs), "pairs": listed, "rows": groups(photos)}
        findings |= {"near": {"threshold": near} | survey(photos, faces) | found, "padded": padded(photos, faces)}
    return findings


def _by_split(faces, chosen):
    return {split: int(np.sum(chosen & (faces.usage == s))) for s, split in enumerate(SPLITS)}


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
    """What the tables do not say, a sentence each."""
    found = [ABOUT.get(findings["verdict"]) or f"Not the published FER-2013: {findings['difference']}."]
    found += [f"Fingerprint of {split}: {digest}" for split, digest in findings["fingerprint"].items()]
    found += [f"{n:,} pictures of {split} have no label." for split, n in findings["unlabelled"].items() if n]
    for part in findings["padded"]:
        published = OFFICIAL_COUNTS[part["split"]][part["class"]]
        found.append(
            f"Padded: {part['split']} has {part['pictures']:,} pictures of {part['class']}, published are {published:,}; "
            f"{part['repeats']:,} of them repeat others of the class."
        )
    blanks = {split: n for split, n in findings["blank"].items() if split in SPLITS and n}
    if blanks:
        places = " and ".join(f"{n:,} in {split}" for split, n in blanks.items())
        found.append(f"Blank, the grey levels having a standard deviation below {BLANK_SD:g}: {places}.")
    return found


def _classes(findings, kinds):
    """How many pictures there are of each class, and how many of those that test recur in what trains or selects."""
    table = _table("class", *SPLITS, *(f"{kind}, %" for kind in kinds))
    for name in CLASSES:
        counts = [_count(findings["counts"][split][name], OFFICIAL_COUNTS[split][name]) for split in SPLITS]
        shares = [kind["leaked"][name] for kind in kinds.values()]
        table.add_row(name, *counts, *("" if share is None else f"{100 * share:.1f}" for share in shares))
    totals = {split: sum(counts.values()) for split, counts in findings["counts"].items()}
    table.add_row("all", *(_count(n, sum(OFFICIAL_COUNTS[split].values())) for split, n in totals.items()))
    table.caption = "In percent: PrivateTest pictures that recur in Training or PublicTest."
    return table


def _count(n, published):
    return f"{n:,}" if n == published else f"{n:,} (published {published:,})"


def _twins(findings, kinds):
    """How often pictures recur: a row for each question, a column for each kind of twins."""
    table = _table("twins", *kinds)
    for key, title in RECURRING.items():
        table.add_row(title, *(f"{kind[key]:,}" for kind in kinds.values()))
    for key, (split, title) in LEAKING.items():
        n = sum(findings["counts"][split].values()) + findings["unlabelled"][split]
        table.add_row(f"{split} pictures {title}", *(_share(kind[key], n) for kind in kinds.values()))
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


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.audit", description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where a copy of FER-2013 is, in any layout")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--near", type=float, default=NEAR, metavar="SIMILARITY", help="near twins have this or more (default: %(default)s)")
    how.add_argument("--no-near", dest="near", action="store_const", const=None, help="look for identical pictures only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings, with the rows")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a PNG with examples")
    arguments = parser.parse_args()
    try:
        for path in filter(None, (arguments.json, arguments.sheet)):
            check_writable(path)
        faces = fer2013.read(arguments.folder, accept_modified=True)
        with console().status("Reading every picture" if arguments.near is None else "Looking for near twins, a minute the first time"):
            findings = audit(faces, arguments.near)
        show(findings)
        if arguments.json:
            replace_file(arguments.json, json.dumps(findings, allow_nan=False) + "\n")
        if arguments.sheet:
            from fer_lightning.data.audit_sheet import draw  # matplotlib

            draw(faces, findings, arguments.sheet)
    except UserError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"What was found cannot be written: {error}")


if __name__ == "__main__":
    main()

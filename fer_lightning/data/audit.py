"""What a copy of FER-2013 is: how often its images recur, within its splits and across them, and whether their labels agree."""

import numpy as np

from fer_lightning.data.faces import CLASSES, NO_LABEL, SPLITS
from fer_lightning.data.published_copy import OFFICIAL_COUNTS, difference
from fer_lightning.data.twins import blank, image_ids, without_twin

ABOUT = {"official": "The published FER-2013, every pixel and label.", "official-lossy": "The published FER-2013, kept as JPEG."}

# A class is padded where it has so many times its published count, or where more than this share of it repeats the rest.
# At most 26 % do in the published copy: disgust of Training, near twins counted from 0.94.
TOO_MANY = 1.5
TOO_ALIKE = 0.5


def audit(faces, near=None):
    """All findings on a copy, as a dict that JSON can hold. Rows are positions in the copy, from 0 on.

    near: the similarity from which two images are near twins (`data.near_twins`); None searches identical ones only
    """
    blanks = blank(faces.pixels)
    ids = image_ids(faces.pixels)
    # Blank images are identical whatever they were meant to show, so their labels do not tell how consistently people label.
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
        from fer_lightning.data.near_twins import link, near_twins  # torch: 2 s that --no-near does without

        pairs, similarities = near_twins(faces.pixels, near)
        photos = link(ids, pairs)
        listed = [[int(i), int(j), round(float(s), 4)] for (i, j), s in zip(pairs, similarities, strict=True)]
        found = {"agreement": agreement(ids, labels, pairs), "pairs": listed, "rows": groups(photos)}
        findings |= {"near": {"threshold": near} | survey(photos, faces) | found, "padded": padded(photos, faces)}
    return findings


def _by_split(faces, chosen):
    return {split: int(np.sum(chosen & (faces.usage == s))) for s, split in enumerate(SPLITS)}


def survey(ids, faces):
    """Counts of what recurs. ids: (N,), equal for images that count as the same, from 0 on.

    Returns a dict:
        distinct, redundant:    how many are left where one of each group is kept, and how many are not
        groups, largest:        of two images or more
        conflicting, across_splits, within_a_split: so many groups have labels that differ, lie in several splits, in one
        public_in_training, private_in_training, private_in_training_or_public: so many test images recur there
        leaked:                 {class: share of its PrivateTest images that recur in Training or PublicTest}, None if it has none
    """
    sizes = np.bincount(ids)
    across = (_table(ids, faces.usage, len(SPLITS)) > 0).sum(1) > 1
    training, public, private = (np.flatnonzero(faces.usage == s) for s in range(len(SPLITS)))
    leaked = ~without_twin(ids, private, np.concatenate([training, public]))
    by_class = {name: leaked[faces.labels[private] == c] for c, name in enumerate(CLASSES)}
    return {
        "distinct": len(sizes),
        "redundant": len(ids) - len(sizes),
        "groups": int(np.sum(sizes > 1)),
        "largest": int(sizes.max()),
        "conflicting": int(np.sum((_table(ids, faces.labels, len(CLASSES)) > 0).sum(1) > 1)),
        "across_splits": int(np.sum(across)),
        "within_a_split": int(np.sum((sizes > 1) & ~across)),
        "public_in_training": int(np.sum(~without_twin(ids, public, training))),
        "private_in_training": int(np.sum(~without_twin(ids, private, training))),
        "private_in_training_or_public": int(np.sum(leaked)),
        "leaked": {name: float(part.mean()) if len(part) else None for name, part in by_class.items()},
    }


def groups(ids):
    """The rows of each group of two or more, as a list of lists, in the order of their first rows."""
    order = np.argsort(ids, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1)
    return sorted(part.tolist() for part in parts if len(part) > 1)


def agreement(ids, labels, pairs=None):
    """{pairs, same_label} over the pairs of labelled images with equal ids; with `pairs` of rows (P, 2), between the ids of these."""
    table = _table(ids, labels, len(CLASSES))
    totals = table.sum(1)
    if pairs is None:
        return {"pairs": int(np.sum(totals * (totals - 1)) // 2), "same_label": int(np.sum(table * (table - 1)) // 2)}
    i, j = ids[pairs].T
    return {"pairs": int(np.sum(totals[i] * totals[j])), "same_label": int(np.sum(table[i] * table[j]))}


def padded(ids, faces):
    """The classes of a split that hold far more than was published, or repeat themselves: dicts of split, class, pictures, repeats."""
    found = []
    for s, split in enumerate(SPLITS):
        for c, name in enumerate(CLASSES):
            part = ids[(faces.usage == s) & (faces.labels == c)]
            repeats = len(part) - len(np.unique(part))
            if len(part) > TOO_MANY * OFFICIAL_COUNTS[split][name] or repeats > TOO_ALIKE * len(part):
                found.append({"split": split, "class": name, "pictures": len(part), "repeats": repeats})
    return found


def _table(ids, kinds, width):
    """How many images of each id are of each kind, (ids, width); those without a label left out."""
    known = kinds != NO_LABEL
    table = np.zeros((ids.max() + 1, width), np.int64)
    np.add.at(table, (ids[known], kinds[known]), 1)
    return table

"""Is a copy the FER-2013 that papers use? Blurred copies and copies with synthetic images are in circulation."""

from hashlib import sha256

import numpy as np

from fer_lightning.data.faces import CLASSES, NO_LABEL, SPLITS

OFFICIAL_COUNTS = {
    "Training": dict(zip(CLASSES, (3995, 436, 4097, 7215, 4830, 3171, 4965), strict=True)),
    "PublicTest": dict(zip(CLASSES, (467, 56, 496, 895, 653, 415, 607), strict=True)),
    "PrivateTest": dict(zip(CLASSES, (491, 55, 528, 879, 594, 416, 626), strict=True)),
}

FINGERPRINTS = {
    "Training": "0d873bb44671657ba6e1e6a7415f0eea",
    "PublicTest": "87b96589515902579fb0f9ebaa6f247b",
    "PrivateTest": "62634456361775969b67234716dd12e8",
}

# Mean and deviation of each split's pixels, scaled to [0, 1].
MOMENTS = {"Training": (0.507743, 0.255009), "PublicTest": (0.505808, 0.254926), "PrivateTest": (0.506207, 0.256280)}

# JPEG at quality 90, 50, 30 moves the deviation by .0001, .0007, .0013 and the mean by less; the lightest blur (radius .5) by .0060.
TOLERANCE = 0.002


def fingerprint(pixels, labels, usage, parts=SPLITS):
    """{part: first 32 hex digits of the sha256 of its images' sorted sha256(pixels, label byte)}, for the parts with images."""
    digests = {}
    for image, label, split in zip(pixels, labels, usage, strict=True):
        digests.setdefault(parts[split], []).append(sha256(image.tobytes() + bytes([label % 256])).digest())
    return {split: sha256(b"".join(sorted(digests[split]))).hexdigest()[:32] for split in parts if split in digests}


def verdict(faces, lossy):
    """One word on `faces`: official, official-lossy, modified, own or unknown.

    official:       all three fingerprints are the published ones
    official-lossy: kept as JPEG (`lossy`), with the published counts and each split's mean and deviation
    modified:       three labelled splits, but not these images
    own:            no copy of FER-2013, and not meant to be one
    unknown:        a split or labels are missing, so it cannot be decided
    """
    if faces.is_own:
        return "own"
    if faces.fingerprint == FINGERPRINTS:
        return "official"
    if set(faces.fingerprint) != set(SPLITS) or np.any(faces.labels == NO_LABEL):
        return "unknown"
    if lossy and faces.counts == OFFICIAL_COUNTS and _moments_agree(faces):
        return "official-lossy"
    return "modified"


def difference(counts):
    """One sentence on how {split: {class: n}} differs from the published counts."""
    parts = []
    for split, official in OFFICIAL_COUNTS.items():
        wrong = [f"{name} {counts[split][name]:,} rather than {n:,}" for name, n in official.items() if counts[split][name] != n]
        if not any(counts[split].values()):
            parts.append(f"{split} has no labelled images")
        elif wrong:
            parts.append(f"{split} has {', '.join(wrong)}")
    return "; ".join(parts) or "the number of images of every class is right, but their pixels or labels are not the published ones"


def _moments_agree(faces):
    for s, split in enumerate(SPLITS):
        rows = np.flatnonzero(faces.usage == s)
        # Split by split in parts: as floats at once, Training takes 265 MB.
        sums = [(x.sum(), (x * x).sum()) for x in (faces.pixels[part] / np.float64(255) for part in np.array_split(rows, 32))]
        first, second = np.sum(sums, axis=0) / (len(rows) * faces.pixels[0].size)
        mean, std = MOMENTS[split]
        if abs(first - mean) > TOLERANCE or abs((second - first**2) ** 0.5 - std) > TOLERANCE:
            return False
    return True

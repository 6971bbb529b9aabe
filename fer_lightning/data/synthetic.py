"""Drawn faces with seven expressions: a stand-in for FER-2013 that needs no download and is still a task to learn."""

import numpy as np

from fer_lightning.data.faces import CLASSES, SIZE, SPLITS, Faces
from fer_lightning.data.protocols import shares
from fer_lightning.data.published_copy import OFFICIAL_COUNTS, fingerprint
from fer_lightning.process.errors import DataError

# Lengths are in half widths of a face; y points down. `slope` and `curve` are positive for a frown and a smile.
_PARTS = ("brow_lift", "brow_slope", "brow_arch", "eye_open", "mouth_curve", "mouth_open", "mouth_width", "mouth_skew", "wrinkle")
_EXPRESSIONS = np.array(
    [
        (-0.10, 0.42, 0.0, 0.085, -0.09, 0.02, 0.32, 0.0, 0.0),  # angry
        (-0.06, 0.18, 0.0, 0.060, -0.07, 0.06, 0.33, 0.32, 1.0),  # disgust
        (0.09, -0.36, 0.0, 0.180, -0.05, 0.09, 0.40, 0.0, 0.0),  # fear
        (0.02, 0.00, 0.9, 0.075, 0.22, 0.10, 0.50, 0.0, 0.0),  # happy
        (0.00, -0.40, 0.0, 0.080, -0.17, 0.00, 0.30, 0.0, 0.0),  # sad
        (0.18, 0.00, 1.3, 0.190, 0.00, 0.21, 0.23, 0.0, 0.0),  # surprise
        (0.00, -0.03, 0.5, 0.115, 0.01, 0.00, 0.35, 0.0, 0.0),  # neutral
    ]
)
_JITTER = np.array((0.025, 0.06, 0.2, 0.012, 0.025, 0.012, 0.03, 0.04, 0.08))

# 32 images in float32 are 295 kB, so the canvases in use stay in the cache: 0.40 s for the default sizes; 0.66 s in chunks of 128.
_CHUNK = 32


def draw(train=2048, val=512, test=512, seed=0):
    """Faces for the three official splits, which differ in the geometry of brows, eyes, nose and mouth only.

    Pose, face shape, tones, light, sharpness, noise, occlusion and the strength of the expression vary independently of the class.
    The classes are as imbalanced as in FER-2013. A split depends on its own size and the seed, not on the other sizes.

    Raises DataError for a size or seed that is not an integer >= 0.
    """
    for key, value in {"train": train, "val": val, "test": test, "seed": seed}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise DataError(f"synthetic faces: {key}={value!r} cannot work; set {key} to a whole number, 0 or more.")
    sizes = (train, val, test)
    splits = [_split(n, s, np.random.default_rng([seed, s])) for s, n in enumerate(sizes)]
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*splits, strict=True))
    usage = np.repeat(np.arange(len(SPLITS)), sizes)
    return Faces(pixels, labels, usage, f"synthetic faces, seed {seed}", "synthetic", fingerprint(pixels, labels, usage))


def _split(n, s, rng):
    labels = rng.permutation(np.repeat(np.arange(len(CLASSES)), _class_counts(n, s)))
    traits = _traits(labels, rng)
    pixels = np.empty((n, 1, SIZE, SIZE), np.uint8)
    for start in range(0, n, _CHUNK):
        chunk = slice(start, start + _CHUNK)
        pixels[chunk, 0] = _render({name: value[chunk] for name, value in traits.items()}, rng)
    return pixels, labels


def _class_counts(n, s):
    """The shares of the published split, with at least one image of each class if n allows it."""
    counts = shares(n, np.array(list(OFFICIAL_COUNTS[SPLITS[s]].values())))
    while n >= len(counts) and not counts.all():
        counts[counts.argmin()] += 1
        counts[counts.argmax()] -= 1
    return counts


def _traits(labels, rng):
    """{trait: (N, 1, 1) float32}: the parts of the expression, faded towards neutral, and everything that is independent of the class."""
    n = len(labels)
    strength = rng.uniform(0.25, 1.15, (n, 1))
    neutral = _EXPRESSIONS[CLASSES.index("neutral")]
    parts = neutral + strength * (_EXPRESSIONS[labels] - neutral) + _JITTER * rng.standard_normal((n, len(_PARTS)))
    traits = dict(zip(_PARTS, parts.T, strict=True))
    traits["mouth_open"] = traits["mouth_open"].clip(0)
    traits["mouth_skew"] *= rng.choice((-1, 1), n)

    def vary(low, high):
        return rng.uniform(low, high, n)

    def sometimes(share, low, high):
        """A half width that is negative, and so covers nothing, outside the share."""
        return np.where(rng.random(n) < share, vary(low, high), -9)

    skin = vary(95, 215)
    traits |= {
        "angle": rng.normal(0, 0.14, n).clip(-0.35, 0.35),
        "scale": vary(15, 20),
        "squeeze": vary(0.85, 1.05),
        "shift_x": vary(-3.5, 3.5),
        "shift_y": vary(-3, 3),
        "yaw": rng.normal(0, 0.09, n).clip(-0.2, 0.2),
        "face_long": vary(1.12, 1.32),
        "jaw": vary(0.0, 0.3),
        "hairline": vary(-1.0, -0.7),
        "hair_bend": vary(-0.1, 0.5),
        "parting": vary(-0.2, 0.2),
        "hair_long": vary(-0.4, 1.5),
        "hair_wide": vary(1.03, 1.25),
        "eye_apart": vary(0.39, 0.46),
        "eye_wide": vary(0.19, 0.24),
        "brow_thick": vary(0.03, 0.065),
        "nose_long": vary(0.2, 0.3),
        "nose_shade": vary(0.85, 1.15),
        "mouth_y": vary(0.58, 0.68),
        "lip": vary(0.04, 0.08),
        "skin": skin,
        "background": vary(10, 245),
        "hair": np.where(rng.random(n) < 0.75, vary(15, 75), vary(120, 220)),
        "brow": skin * vary(0.25, 0.6),
        "lip_tone": skin * vary(0.55, 0.8),
        "white": np.minimum(skin * vary(1.1, 1.4), 245),
        "iris": vary(10, 60),
        "teeth": vary(0, 1),
        "cloth": vary(10, 245),
        "light_x": rng.normal(0, 0.011, n),
        "light_y": rng.normal(0, 0.008, n),
        "soft": vary(0.05, 0.17),
        "noise": vary(2, 10),
        "glasses": sometimes(0.1, 0.02, 0.035),
        "bar": sometimes(0.1, 0.08, 0.22),
        "bar_angle": vary(0, np.pi),
        "bar_place": vary(-0.9, 0.9),
    }
    return {name: value.astype(np.float32).reshape(n, 1, 1) for name, value in traits.items()}


def _render(t, rng):
    """(n, 48, 48) uint8 images of the faces with the traits t, painted from the back to the front."""
    centre = (SIZE - 1) / 2
    col = np.arange(SIZE, dtype=np.float32)[None, None, :] - centre
    row = np.arange(SIZE, dtype=np.float32)[None, :, None] - centre
    cos, sin = np.cos(t["angle"]) / t["scale"], np.sin(t["angle"]) / t["scale"]
    x = (cos * (col - t["shift_x"]) + sin * (row - t["shift_y"])) / t["squeeze"]
    y = cos * (row - t["shift_y"]) - sin * (col - t["shift_x"])
    image = np.broadcast_to(t["background"], x.shape).copy()

    def paint(rows, inside, tone):
        """Cover with a tone where the signed distance `inside` is positive; the soft edge is also the blur of the image."""
        image[:, rows] += np.clip(inside / t["soft"] + 0.5, 0, 1) * (tone - image[:, rows])

    # Eyes and brows stay in the upper rows, nose tip and mouth in the lower ones: 0.40 s instead of 0.45 s.
    every, upper, lower = slice(0, SIZE), slice(2, 36), slice(20, SIZE)
    x2 = x * x
    hair = 0.5 - 0.5 * (x2 / t["hair_wide"] ** 2 + (y + 0.2) ** 2 / 1.6)
    paint(every, np.minimum(hair, t["hair_long"] - y), t["hair"])
    paint(lower, np.minimum(0.55 - np.abs(x[:, lower]), y[:, lower] - 0.6), t["skin"] * 0.7)
    paint(lower, y[:, lower] - 1.3 - 0.2 * x2[:, lower], t["cloth"])
    head = 0.5 - 0.5 * (x2 * (1.15 + t["jaw"] * y) + y * y / t["face_long"] ** 2)
    paint(every, np.minimum(head, y - t["hairline"] - t["parting"] * x - t["hair_bend"] * x2), t["skin"] * (0.8 + 0.5 * head))

    fx, fy = x[:, upper] - t["yaw"], y[:, upper]
    side = np.abs(fx)
    u = side - t["eye_apart"]
    u2 = u * u
    eye_y = fy + 0.2
    lids = t["eye_open"] * (1 - u2 / t["eye_wide"] ** 2) - np.abs(eye_y)
    paint(upper, lids + 0.04, t["brow"])
    paint(upper, lids, t["white"])
    radius = np.sqrt(u2 + eye_y**2)
    paint(upper, np.minimum(lids, 0.1 - radius), t["iris"])
    brow_y = eye_y + 0.29 + t["brow_lift"] + t["brow_slope"] * u - t["brow_arch"] * (u2 - 0.03)
    paint(upper, np.minimum(t["brow_thick"] - np.abs(brow_y), 0.27 - np.abs(u)), t["brow"])
    paint(upper, np.minimum(0.04 + 0.25 * (fy + 0.15) - side, t["nose_long"] - fy), t["skin"] * t["nose_shade"])
    creases = 0.12 * t["wrinkle"] - 0.1 - np.abs(np.abs(fy + 0.03) - 0.085)
    paint(upper, np.minimum(creases, 0.17 - side), t["brow"])
    frame = np.minimum(np.abs(radius - 0.27), np.maximum(np.abs(eye_y), side - 0.16))
    paint(upper, t["glasses"] - frame, t["iris"])

    fx, fy = x[:, lower] - 1.2 * t["yaw"], y[:, lower]
    paint(lower, 0.055 - np.sqrt((np.abs(fx) - 0.11) ** 2 + 2 * (fy - t["nose_long"]) ** 2), t["lip_tone"] * 0.8)
    along = 1 - (fx / t["mouth_width"]) ** 2
    height = fy - t["mouth_y"] - t["mouth_skew"] * fx - t["mouth_curve"] * (along - 0.6)
    ends = t["mouth_width"] - np.abs(fx)
    gap = t["mouth_open"] * along
    apart = np.abs(height)
    paint(lower, np.minimum(gap + t["lip"] - apart, ends), t["lip_tone"])
    paint(lower, np.minimum(gap + 0.02 - apart, ends), t["iris"])
    paint(lower, np.minimum(np.minimum(gap - 0.05 - apart, -height), ends), t["teeth"] * t["white"])

    bar = np.abs(np.cos(t["bar_angle"]) * x + np.sin(t["bar_angle"]) * y - t["bar_place"])
    paint(every, t["bar"] - bar, t["cloth"])
    image *= 1 + t["light_x"] * col + t["light_y"] * row
    image += t["noise"] * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, 0, 255, out=image).astype(np.uint8)

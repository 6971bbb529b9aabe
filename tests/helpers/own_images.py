"""Images of classes that are no emotions: colours, of any size and format, as a user would keep them in folders."""

import numpy as np
from PIL import Image

COLOURS = {"amber": (230, 170, 20), "black": (20, 20, 20), "deep blue": (30, 40, 200), "white": (240, 240, 240)}
PARTS = {"train": 12, "val": 5, "test": 6}


def draw_images(root, parts=PARTS, classes=COLOURS, seed=0):
    """ROOT/PART/CLASS/N.png or .jpg, all different. parts: {name, or "" for a flat folder: images of each class}"""
    rng = np.random.default_rng(seed)
    for part, number in parts.items():
        for name, colour in classes.items():
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(number):
                noise = rng.normal(0, 12, (*rng.integers(40, 90, 2), 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.{'png' if i % 2 else 'jpg'}")
    return root

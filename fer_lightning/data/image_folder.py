"""A user's own images in folders, with any classes, as Faces."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fer_lightning.data import cache
from fer_lightning.data.faces import CLASSES, SIZE
from fer_lightning.data.image_layouts import LAYOUTS, PARTS
from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import ConfigError, DataError, UserError, near
from fer_lightning.safety.untrusted_files import parse_yaml

BATCH = 256
LEAST_PIXELS, MOST_PIXELS = 16, 1024

# As many as a table of predictions has columns for.
MOST_CLASSES = 1000

WHERE = "data.root names the folder whose folders are the classes, or train, val and test."

# Names of classes are columns of tables, beside these, and are written to the screen, to pages and into ONNX files.
NAME = re.compile(r"\w([\w .+&'()-]{0,58}[\w.+)])?")
COLUMNS = ("cell", "measure", "no class", "part", "picture", "prediction", "protocol")


def read_image_folder(root: str | None = None, layout: str = "folders", size: int = SIZE, *, labels=None, cache_dir: str | None = None):
    """The Faces of the folder `root`.

    layout:    folders | rafdb | affectnet | ferplus (`fer_lightning.data.image_layouts`)
    size:      to which the middle square of each image is brought, in pixels; colours become grey
    labels:    {class: another class, or one of the seven of FER-2013, or None to leave its images out}
    cache_dir: folder of the memory map, by default fer_lightning/ in $XDG_CACHE_HOME or ~/.cache
    ConfigError or DataError for what cannot be trained on
    """
    root, names, images = find_images(root, layout, size, labels)
    about = {"size": size, "classes": tuple(names), "parts": PARTS, "label_set": "own"}
    try:
        faces = cache.load(root, [image.path for image, _ in images], partial(_read, images, size), cache_dir, **about)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error}).") from error
    return relabelled(faces, names)


def find_images(root, layout, size, labels):
    """What `read_image_folder` reads: (root, {class: class that it becomes}, [(Image, index of its class)]). It opens no image."""
    if layout not in LAYOUTS:
        raise ConfigError(f"data.layout={layout}: there is no such layout. {near(layout, LAYOUTS)}")
    if not LEAST_PIXELS <= size <= MOST_PIXELS:
        raise ConfigError(f"data.size={size}: a size is {LEAST_PIXELS} to {MOST_PIXELS:,} pixels.")
    if root is None:
        raise ConfigError("data=image_folder needs data.root=FOLDER, the folder of your images.")
    root = Path(root).expanduser().absolute()
    if not root.is_dir():
        reason = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(f"{root} {reason}. Name the folder of your images with data.root=FOLDER.")
    try:
        found = LAYOUTS[layout](root)
        names = renamed(sorted(found), labels or {}, "data.labels")
        _check_classes(root, {name: found[name] for name in names}, in_order(names.values()))
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error}).") from error
    images = [(image, c) for c, name in enumerate(names) for image in found[name]]
    return root, names, sorted(images, key=lambda entry: (entry[0].part, str(entry[0].path)))


def renamed(names, labels, key, others=CLASSES):
    """{class: class that it becomes}, without the classes that are left out.

    names: of the classes; labels: {class: another of them, or one of the others, or None: left out}, or the text of such a map, because
           Hydra reads none whose names have letters that are not English or & ' ( )
    key: where the labels come from, for the ConfigError if they name what there is not, or are ambiguous
    """
    text = labels
    if isinstance(text, str):
        with suppress(ValueError):
            labels = parse_yaml(text)
    if not isinstance(labels, Mapping):
        raise ConfigError(f"{key}={text}: give a class for each class that changes, such as {key}={{joy: happy, contempt: null}}.")
    labels = {str(name): target if target is None else str(target) for name, target in labels.items()}
    for name, target in labels.items():
        if name not in names:
            raise ConfigError(f"{key} names {name}, and there is no such class. {near(name, names)}")
        if target is not None and target not in (*names, *others):
            known = dict.fromkeys([*names, *others])
            raise ConfigError(f"{key} turns {name} into {target}, and there is no such class. {near(target, known)}")
        if labels.get(target, target) != target:
            raise ConfigError(f"{key} turns {name} into {target}, and {target} into {labels[target]}: name what {name} becomes in the end.")
    kept = {name: labels.get(name, name) for name in names}
    return {name: target for name, target in kept.items() if target is not None}


def in_order(names):
    """Class names in the order of their outputs: those of FER-2013 in its order, then the others by the alphabet."""
    return tuple(sorted(set(names), key=lambda name: (CLASSES.index(name) if name in CLASSES else len(CLASSES), name)))


def relabelled(faces, names):
    """`faces` with the classes that theirs become. names: {class: class that it becomes}, of all classes"""
    classes = in_order(names.values())
    index = np.array([classes.index(names[name]) for name in faces.classes])
    return replace(faces, labels=index[faces.labels], classes=classes)


def _check_classes(root, found, classes):
    """DataError unless there are two classes or more, each with images and a name that can be shown.

    found: {class: images}; classes: what the classes become, without repeats
    """
    if not 2 <= len(classes) <= MOST_CLASSES:
        what = f"only one class, {classes[0]}" if len(classes) == 1 else f"{len(classes):,} classes" if classes else "no classes"
        raise DataError(f"{root} holds {what}; 2 to {MOST_CLASSES:,} are needed. {WHERE}")
    odd = [name for name in classes if not NAME.fullmatch(name) or name.lower() in COLUMNS]
    if odd:
        raise DataError(f"{root}: {odd[0]!a} cannot be the name of a class: use letters, digits, spaces and . + - & ' ( ). Rename it.")
    spelt = {}
    for name in classes:
        if (other := spelt.setdefault(name.casefold(), name)) != name:
            raise DataError(f"{root}: classes {other} and {name} differ in capitals only. Make them one: data.labels={{{name}: {other}}}.")
    empty = [name for name, images in found.items() if not images]
    if empty:
        raise DataError(f"{root}: there is no image of class {', '.join(empty[:5])}. Remove it, or set data.labels={{{empty[0]}: null}}.")


def _read(images, size):
    """The images of (Image, class), as (pixels (n, 1, size, size) uint8, labels (n,), usage (n,), lossy). DataError for broken ones."""
    broken = []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        pixels = np.zeros((len(batch), 1, size, size), np.uint8)
        for place, (image, _) in enumerate(batch):
            try:
                pixels[place] = read_picture(image.path, size)
            except UserError as error:
                broken.append(str(error))
        yield pixels, np.array([c for _, c in batch]), np.array([image.part for image, _ in batch]), False
    if broken:
        raise DataError(f"{len(broken):,} of {len(images):,} images cannot be used: {' '.join(broken[:3])} Replace or remove them.")

"""A user's own images: classes, parts and size come from the folder; what cannot be trained on is one sentence."""

import os
import time

import numpy as np
import pytest
from helpers.own_images import COLOURS, draw_images
from helpers.project import compose
from PIL import Image

from fer_lightning.data import image_folder, protocols
from fer_lightning.data.faces import CLASSES
from fer_lightning.data.image_folder import in_order, read_image_folder, renamed
from fer_lightning.data.image_layouts import AFFECTNET, FERPLUS, RAFDB
from fer_lightning.data.near_twins import photo_ids
from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import ConfigError, DataError, UserError

NAMES = tuple(sorted(COLOURS))


@pytest.fixture
def root(tmp_path):
    return draw_images(tmp_path / "images", {"train": 3, "val": 1, "test": 2})


def write(path, shade=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (50, 60), (shade, 0, 255 - shade)).save(path)
    return path


def test_folders_become_faces(root):
    faces = read_image_folder(str(root))
    assert faces.classes == NAMES and faces.parts == ("train", "val", "test") and faces.verdict == faces.label_set == "own"
    assert faces.counts == {part: dict.fromkeys(NAMES, n) for part, n in {"train": 3, "val": 1, "test": 2}.items()}
    assert faces.pixels.shape == (24, 1, 48, 48) and set(faces.fingerprint) == {"train", "val", "test"}
    np.testing.assert_array_equal(faces.pixels[0], read_picture(root / "train" / "amber" / "0.jpg"))
    last = np.flatnonzero((faces.usage == 2) & (faces.labels == NAMES.index("white")))[-1]
    np.testing.assert_array_equal(faces.pixels[last], read_picture(root / "test" / "white" / "1.png"))


def test_images_are_read_once_for_each_size(root, monkeypatch):
    first = {size: read_image_folder(str(root), size=size) for size in (48, 31)}
    assert first[31].size == 31 and first[31].pixels.shape[2:] == (31, 31)
    monkeypatch.setattr(image_folder, "read_picture", None)
    for size, faces in first.items():
        again = read_image_folder(str(root), size=size)
        np.testing.assert_array_equal(again.pixels, faces.pixels)
        assert again.fingerprint == faces.fingerprint
    with pytest.raises(TypeError):
        read_image_folder(str(root), size=32)


def test_a_flat_folder_is_all_for_training_and_protocols_draw(tmp_path):
    faces = read_image_folder(str(draw_images(tmp_path, {"": 20})))
    split = protocols.random_70_15_15(faces)
    assert (len(split.train), len(split.val), len(split.test)) == (56, 12, 12) and split.protocol == "random_70_15_15"
    lacking = {protocols.official: "no val and no test", protocols.k_fold: "no test", protocols.train_875_125: "no test"}
    for protocol, parts in lacking.items():
        with pytest.raises(DataError, match=f"has {parts} part, which protocol=.* needs. protocol=train_875_125 draws"):
            protocol(faces)


def test_given_parts_are_those_of_the_official_protocol(root):
    split = protocols.official(read_image_folder(str(root)))
    assert (len(split.train), len(split.val), len(split.test)) == (12, 4, 8)


@pytest.mark.parametrize("kept", ["val", "test"])
def test_a_second_part_is_tested_on_and_validation_drawn(tmp_path, kept):
    split = protocols.train_875_125(read_image_folder(str(draw_images(tmp_path, {"train": 8, kept: 2}))))
    assert (len(split.train), len(split.val), len(split.test)) == (28, 4, 8)


def test_labels_rename_merge_and_leave_out(root):
    faces = read_image_folder(str(root), labels={"white": "happy", "black": "happy", "amber": None})
    assert faces.classes == ("happy", "deep blue") and faces.counts["train"] == {"happy": 6, "deep blue": 3}
    for row, label in enumerate(faces.labels):
        dark = faces.pixels[row].mean() < 60
        assert faces.pixels[row].mean() > 200 or dark or faces.classes[label] == "deep blue"


def test_the_seven_come_first_in_their_order():
    assert in_order(["zeal", "neutral", "contempt", "angry", "neutral"]) == ("angry", "neutral", "contempt", "zeal")
    assert in_order(reversed(CLASSES)) == CLASSES


def test_names_that_hydra_reads_in_no_map_are_read_in_a_text():
    names = ["glücklich", "it's (so) & so", "joy"]
    text = compose("data=image_folder", 'data.labels="{glücklich: happy, it\'s (so) & so: null}"').data.labels
    assert renamed(names, text, "data.labels") == {"glücklich": "happy", "joy": "joy"}


@pytest.mark.parametrize(
    "labels, words",
    [
        ({"jey": "happy"}, "data.labels names jey, and there is no such class. Did you mean joy?"),
        ({"joy": "hapy"}, "data.labels turns joy into hapy, and there is no such class. Did you mean happy?"),
        ({"joy": "awe", "awe": "happy"}, "data.labels turns joy into awe, and awe into happy: name what joy becomes in the end."),
        ({"joy": "awe", "awe": None}, "data.labels turns joy into awe, and awe into None"),
        ("joy", "data.labels=joy: give a class for each class that changes"),
        ("{joy", "data.labels={joy: give a class for each class that changes"),
        ("{jöy: null}", "data.labels names jöy, and there is no such class. Did you mean joy?"),
    ],
)
def test_a_wrong_map_of_labels_is_named(labels, words):
    with pytest.raises(ConfigError) as refused:
        renamed(["awe", "joy"], labels, "data.labels")
    assert words in str(refused.value)


def empty_class(root):
    (root / "train" / "green").mkdir()


def broken_images(root):
    for name in ("x.png", "y.jpg"):
        (root / "train" / "amber" / name).write_bytes(b"no image")


def bomb(root):
    Image.new("1", (9000, 9000)).save(root / "train" / "amber" / "x.png")


def text_among_images(root):
    (root / "train" / "amber" / "notes.txt").write_text("x")


def folder_among_images(root):
    write(root / "train" / "amber" / "more" / "1.png")


def parts_and_classes(root):
    write(root / "amber" / "1.png")


def link_to_a_file(root):
    (root / "train" / "amber" / "x.png").symlink_to(write(root.parent / "outside.png"))


def link_to_a_folder(root):
    (root / "train" / "green").symlink_to(write(root.parent / "green" / "1.png").parent)


def capitals(root):
    write(root / "train" / "Amber" / "1.png")


def odd_name(root):
    write(root / "train" / "<b>" / "1.png")


def name_of_a_column(root):
    write(root / "train" / "Prediction" / "1.png")


def no_utf8(root):
    folder = os.fsencode(root / "train") + b"/gr\xfcn"
    os.mkdir(folder)
    (root / "train" / "amber" / "0.jpg").rename(os.fsdecode(folder + b"/0.jpg"))


WRONG = {
    empty_class: "there is no image of class green. Remove it, or set data.labels={green: null}.",
    broken_images: "2 of 26 images cannot be used: ",
    bomb: "1 of 25 images cannot be used: ",
    text_among_images: "notes.txt: not an image (.bmp, .dib, .gif",
    folder_among_images: "more: a folder among images.",
    parts_and_classes: "holds parts (test, train, val) and other folders (amber): leave one kind there.",
    link_to_a_file: "x.png: a link that leads out of",
    link_to_a_folder: "green: a link that leads out of",
    capitals: "classes Amber and amber differ in capitals only. Make them one: data.labels={amber: Amber}.",
    odd_name: "'<b>' cannot be the name of a class",
    name_of_a_column: "'Prediction' cannot be the name of a class",
    no_utf8: "'gr\\udcfcn' cannot be the name of a class",
}


@pytest.mark.parametrize("damage", WRONG, ids=lambda damage: damage.__name__)
def test_what_cannot_be_trained_on_is_one_sentence(root, damage):
    damage(root)
    with pytest.raises(DataError) as refused:
        read_image_folder(str(root))
    assert WRONG[damage] in str(refused.value) and "\n" not in str(refused.value)


def test_a_folder_without_two_classes_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "none").mkdir()
    draw_images(tmp_path / "one", {"": 2}, {"green": (0, 200, 0)})
    for name, words in {
        "gone": "gone does not exist. Name the folder of your images with data.root=FOLDER.",
        "file": "file is a file, not a folder.",
        "none": "none holds no classes; 2 to 1,000 are needed. data.root names the folder whose folders are the classes",
        "one": "one holds only one class, green; 2 to 1,000 are needed.",
    }.items():
        with pytest.raises(DataError) as refused:
            read_image_folder(str(tmp_path / name))
        assert words in str(refused.value)
    with pytest.raises(ConfigError, match="data=image_folder needs data.root=FOLDER"):
        read_image_folder()
    with pytest.raises(ConfigError, match="data.layout=rafbd: there is no such layout. Did you mean rafdb?"):
        read_image_folder(str(tmp_path), layout="rafbd")
    with pytest.raises(ConfigError, match="data.size=4096: a size is 16 to 1,024 pixels"):
        read_image_folder(str(tmp_path), size=4096)


def test_ten_thousand_classes_are_refused_at_once(tmp_path):
    for number in range(10_000):
        (tmp_path / "images" / f"{number:05}").mkdir(parents=True)
    start = time.process_time()
    with pytest.raises(DataError, match="holds 10,000 classes; 2 to 1,000 are needed"):
        read_image_folder(str(tmp_path / "images"))
    assert time.process_time() - start < 2


def test_a_class_that_cannot_be_learnt_is_refused(root):
    write(root / "test" / "green" / "1.png")
    with pytest.raises(DataError, match=r"no training image under protocol=official is of class green.*data.labels=\{green: null\}"):
        protocols.official(read_image_folder(str(root)))


def test_links_within_the_folder_and_files_of_systems_are_no_fault(root):
    (root / "train" / "amber" / "x.png").symlink_to(root / "train" / "amber" / "1.png")
    for name in (".DS_Store", "Thumbs.db"):
        (root / "train" / "amber" / name).write_text("x")
    (root / "README.txt").write_text("x")
    assert len(read_image_folder(str(root)).labels) == 25


def test_near_twins_want_images_of_48_pixels(root):
    with pytest.raises(ConfigError, match="Near twins are found among images of 48 pixels, and these have 64: set data.size=48."):
        photo_ids(read_image_folder(str(root), size=64).pixels, 0.94)


def one_of_each(folder, names):
    for shade, name in enumerate(names):
        write(folder / name / "1.jpg", 20 * shade)


def test_rafdb_as_its_authors_give_it_and_as_numbered_folders(tmp_path):
    lines = []
    for part, number in (("train", 2), ("test", 1)):
        for label in range(1, 8):
            for i in range(number):
                name = f"{part}_{label}{i}"
                write(tmp_path / "a" / "basic" / "Image" / "aligned" / f"{name}_aligned.jpg", 10 * label + i)
                lines.append(f"{name}.jpg {label}")
    table = tmp_path / "a" / "basic" / "EmoLabel" / "list_patition_label.txt"
    table.parent.mkdir()
    table.write_text("\n".join(lines))
    faces = read_image_folder(str(tmp_path / "a"), layout="rafdb")
    assert faces.classes == CLASSES and faces.counts == {part: dict.fromkeys(CLASSES, n) for part, n in zip(faces.parts, (2, 0, 1))}
    row = np.flatnonzero(faces.labels == CLASSES.index("surprise"))[0]
    np.testing.assert_array_equal(faces.pixels[row], read_picture(tmp_path / "a" / "basic" / "Image" / "aligned" / "train_10_aligned.jpg"))
    table.write_text(f"{lines[0]}\ntrain_9.jpg 8")
    with pytest.raises(DataError, match="line 2: it must be like `train_00001.jpg 5`"):
        read_image_folder(str(tmp_path / "a"), layout="rafdb")
    table.write_text("train_../../../x.jpg 5")
    with pytest.raises(DataError, match="names it, and it is not there"):
        read_image_folder(str(tmp_path / "a"), layout="rafdb")

    for part in ("train", "test"):
        one_of_each(tmp_path / "b" / "DATASET" / part, RAFDB)
    assert read_image_folder(str(tmp_path / "b"), layout="rafdb").classes == CLASSES
    one_of_each(tmp_path / "b" / "DATASET" / "train", "8")
    with pytest.raises(DataError, match="the folders of this layout are 1, 2, 3"):
        read_image_folder(str(tmp_path / "b"), layout="rafdb")


def test_affectnet_as_its_authors_give_it_and_as_numbered_folders(tmp_path):
    for part, start in (("train_set", 0), ("val_set", 100)):
        for label in range(9):  # 8: none
            write(tmp_path / "a" / part / "images" / f"{start + label}.jpg", start + label)
            (tmp_path / "a" / part / "annotations").mkdir(exist_ok=True)
            np.save(tmp_path / "a" / part / "annotations" / f"{start + label}_exp.npy", np.array(str(label)))
            np.save(tmp_path / "a" / part / "annotations" / f"{start + label}_val.npy", np.array("0.5"))
    for part in ("train", "val"):
        one_of_each(tmp_path / "b" / part, AFFECTNET)
    for root in ("a", "b"):
        faces = read_image_folder(str(tmp_path / root), layout="affectnet")
        assert faces.classes == (*CLASSES, "contempt")
        assert faces.counts == {part: dict.fromkeys(faces.classes, n) for part, n in zip(faces.parts, (1, 0, 1))}
    np.save(tmp_path / "a" / "train_set" / "annotations" / "0_exp.npy", np.array([{}], object))
    with pytest.raises(DataError, match="0_exp.npy: it holds no label"):
        read_image_folder(str(tmp_path / "a"), layout="affectnet")
    (tmp_path / "a" / "train_set" / "annotations" / "0_exp.npy").write_bytes(b"")
    with pytest.raises(DataError, match="0_exp.npy: it holds no label"):
        read_image_folder(str(tmp_path / "a"), layout="affectnet")


@pytest.mark.parametrize("common", [False, True])
def test_ferplus_as_its_script_writes_it(tmp_path, common):
    options = list(FERPLUS)
    rows = {}
    for part in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        for column in range(len(options) + 2):
            name = f"{part[7:]}{column}.png"
            write(tmp_path / part / name, len(rows))
            rows.setdefault(part, []).append((name, [8 if c == column else 1 if c == (column + 1) % 10 else 0 for c in range(10)]))
        write(tmp_path / part / "tie.png", 200)
        rows[part].append(("tie.png", [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]))
    if common:
        lines = [f"x,{name},{','.join(map(str, votes))}" for part in rows.values() for name, votes in part]
        (tmp_path / "fer2013new.csv").write_text("\n".join([f"Usage,Image name,{','.join(options)},unknown,NF", *lines, "Training,,0,0"]))
    else:
        for part, found in rows.items():
            text = "\n".join(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}' for name, votes in found)
            (tmp_path / part / "label.csv").write_text(text)
    faces = read_image_folder(str(tmp_path), layout="ferplus")
    assert faces.classes == (*CLASSES, "contempt") and faces.counts == {part: dict.fromkeys(faces.classes, 1) for part in faces.parts}
    seven = read_image_folder(str(tmp_path), layout="ferplus", labels={"contempt": None})
    assert seven.classes == CLASSES and len(seven.labels) == 21


def test_a_layout_that_is_not_there_says_what_is_missing(root):
    for layout, words in {"ferplus": "FER2013Train: there is no such folder", "rafdb": "the folders of this layout are 1, 2"}.items():
        with pytest.raises(UserError, match=words):
            read_image_folder(str(root), layout=layout)

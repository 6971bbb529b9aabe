"""A picture with its faces marked, what the network saw of each, and its three most likely classes; and a chart of a video."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_lightning.photos.answers import Seen
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replacing
from fer_lightning.safety.untrusted_files import check_file

LARGEST, LEAST = 1600, 320  # the longer side of the picture as it is drawn
CROP, ROW, PANEL = 96, 116, 330
MARK = (255, 180, 0)
SHOWN = 3  # classes

# In the JPEG files that are written here, so that no other picture is replaced.
OURS = b"fer_lightning predict"


def draw_picture(seen: Seen, classes: tuple[str, ...], path: Path) -> None:
    """Write a JPEG of a Seen that kept its image. UserError if a file is there that was not written here."""
    check_ours(path)
    scale = float(np.clip(1, LEAST / max(seen.image.size), LARGEST / max(seen.image.size)))
    width, height = (max(1, round(side * scale)) for side in seen.image.size)
    rows = max(1, height // ROW)
    columns = -(-len(seen.faces) // rows)
    canvas = Image.new("RGB", (width + columns * PANEL, max(height, ROW if columns else 0)), "white")
    canvas.paste(seen.image.resize((width, height), Image.Resampling.BICUBIC))
    draw = ImageDraw.Draw(canvas)
    for number, face in enumerate(seen.faces, 1):
        if face.box:
            left, top = face.box.left * scale, face.box.top * scale
            draw.rectangle((left, top, left + face.box.width * scale, top + face.box.height * scale), outline=MARK, width=3)
            _tag(draw, (left, max(0, top - 22)), str(number))
        column, row = divmod(number - 1, rows)
        place = (width + column * PANEL + 10, row * ROW + 10)
        _entry(canvas, place, face, classes)
        _tag(draw, place, str(number))
    with replacing(path) as part:
        canvas.save(part, format="JPEG", quality=92, comment=OURS)


def check_ours(path: Path) -> None:
    """UserError if a file that this module did not write is in the place of one that it is about to write."""
    if not os.path.lexists(path):
        return
    try:
        check_file(path)
        with Image.open(path, formats=("JPEG",)) as image:
            if image.info.get("comment") == OURS:
                return
    except (OSError, ValueError):
        pass
    raise UserError(f"{path} is not of this program, which would replace it. Move it, or choose another folder.")


def _entry(canvas, place, face, classes):
    """What the network saw, and bars of its most likely classes."""
    x, y = place
    draw = ImageDraw.Draw(canvas)
    canvas.paste(Image.fromarray(face.crop).resize((CROP, CROP), Image.Resampling.NEAREST), place)
    for line, c in enumerate(np.argsort(-face.probabilities)[:SHOWN]):
        probability = float(face.probabilities[c])
        top = y + 4 + 31 * line
        draw.rectangle((x + CROP + 10, top, x + CROP + 10 + max(1, round(200 * probability)), top + 26), fill=(255, 214, 120))
        draw.text((x + CROP + 16, top + 4), f"{classes[c]} {probability:.0%}", fill="black", font=_font())


def _tag(draw, place, text):
    box = draw.textbbox(place, text, font=_font())
    draw.rectangle((place[0], place[1], box[2] + 6, place[1] + 22), fill=MARK)
    draw.text((place[0] + 3, place[1] + 2), text, fill="black", font=_font())


def _font():
    return ImageFont.load_default(size=16)


def draw_video(frames: list[Seen], classes: tuple[str, ...], path: Path) -> None:
    """Write a JPEG of the probabilities of the largest face over time. frames: of one video, with probabilities"""
    from fer_lightning.figures.description import Axis, Chart, Series
    from fer_lightning.figures.matplotlib_files import write_figures

    check_ours(path)
    times = [one.time for one in frames]
    values = np.array([one.faces[0].probabilities if one.faces else [np.nan] * len(classes) for one in frames])
    series = [Series(name, times, values[:, c].tolist(), style="line", colour=c) for c, name in enumerate(classes)]
    title = f"{Path(frames[0].source).name}: the largest face of each frame"
    chart = Chart("video", title, "", Axis("seconds"), Axis("probability"), series)
    with TemporaryDirectory() as folder, replacing(path) as part:
        (drawn,) = write_figures({"video": chart}, Path(folder), "png")
        with Image.open(drawn) as image:
            image.convert("RGB").save(part, format="JPEG", quality=92, comment=OURS)

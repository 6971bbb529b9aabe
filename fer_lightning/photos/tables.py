"""What was seen, as rows of a CSV, as JSON, and on the screen."""

import json
from collections import defaultdict

import numpy as np

from fer_lightning.photos.answers import Seen

MADE_BY = "fer_lightning predict"

# With what a file begins that was written here.
OURS = {"csv": "picture,prediction,", "json": rf'\{{\s*"made_by": "{MADE_BY}"'}


def as_csv(seen: list[Seen], classes: tuple[str, ...]) -> str:
    """A row a face: picture, prediction, a probability for each class; of frames and found faces also when and where."""
    import pandas as pd

    from fer_lightning.safety.spreadsheet import to_csv

    rows = [_row(one, number, face, classes) for one in seen for number, face in enumerate(one.faces, 1)]
    where = {name: None for row in rows for name in row if name not in ("picture", "prediction", *classes)}
    return to_csv(pd.DataFrame(rows, columns=["picture", "prediction", *classes, *where]))


def _row(one, number, face, classes):
    row = {"picture": one.source, "prediction": classes[face.probabilities.argmax()], **dict(zip(classes, face.probabilities, strict=True))}
    if one.time is not None:
        row["time"] = round(one.time, 3)
    if face.box:
        row |= {"face": number, **_place(face.box)}
    return row


def _place(box):
    return {name: round(getattr(box, name), 3) for name in ("left", "top", "width", "height", "score")}


def as_json(seen: list[Seen], classes: tuple[str, ...], network: str) -> str:
    """Every picture and frame, also those without a face or with an error."""
    pictures = []
    for one in seen:
        faces = [
            {
                "box": _place(face.box) if face.box else None,
                "prediction": classes[face.probabilities.argmax()],
                "probabilities": dict(zip(classes, map(float, face.probabilities), strict=True)),
            }
            for face in one.faces
        ]
        when = {} if one.time is None else {"time": round(one.time, 3)}
        pictures.append({"picture": one.source, **when, "faces": faces, "error": one.error, "note": one.note})
    whole = {"made_by": MADE_BY, "network": network, "classes": classes, "pictures": pictures}
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def show(seen: list[Seen], classes: tuple[str, ...]) -> None:
    """Print the two most probable classes of each face in a picture, and what was seen in each video."""
    from fer_lightning.process.terminal import console

    pictures = [one for one in seen if one.time is None and one.faces]
    videos = defaultdict(list)
    for one in seen:
        if one.time is not None:
            videos[one.source].append(one)
    if pictures:
        console().print(_pictures(pictures, classes))
    if videos:
        console().print(_videos(videos, classes))


def _pictures(pictures, classes):
    from rich.markup import escape
    from rich.table import Table

    found = any(face.box for one in pictures for face in one.faces)
    shown = Table("picture", *(["face"] if found else []), "prediction", "probability", "second", "probability")
    for one in pictures:
        for number, face in enumerate(one.faces, 1):
            which = [f"{number} of {len(one.faces)}" if face.box else "whole picture"] if found else []
            shown.add_row(escape(one.source), *which, *_most(face.probabilities, classes))
    return shown


def _videos(videos, classes):
    from rich.markup import escape
    from rich.table import Table

    shown = Table("video", "frames", "with a face", "most", "mean probability", "second", "mean probability")
    for source, frames in videos.items():
        largest = [one.faces[0].probabilities for one in frames if one.faces]
        shown.add_row(escape(source), str(len(frames)), str(len(largest)), *(_most(np.mean(largest, axis=0), classes) if largest else ()))
    return shown


def _most(probabilities, classes):
    """The two most probable classes, each with its probability."""
    from rich.markup import escape

    return [text for c in np.argsort(-probabilities)[:2] for text in (escape(classes[c]), f"{probabilities[c]:.3f}")]

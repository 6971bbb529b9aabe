"""Where what was seen goes: the screen, a CSV, JSON, drawings. Nothing is written over a file that is not of this program."""

import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

from fer_lightning.config.cell_names import safe_name
from fer_lightning.photos.answers import CUT_OUT, WHOLE, Finder, Looking, Seen, answered
from fer_lightning.photos.drawing import draw_picture, draw_video
from fer_lightning.photos.tables import OURS, as_csv, as_json, show
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import make_folder, replace_file
from fer_lightning.process.visible import visible
from fer_lightning.shipping.networks import Network


class Outputs:
    """csv, json: files, or None; draw: a folder, or None; inputs: the names of pictures and folders.

    UserError if one of them cannot be written, holds something else, or lies in a folder that is read.
    """

    def __init__(self, *, csv: Path | None, json: Path | None, draw: Path | None, inputs: list[str]):
        self._csv, self._json, self._draw = csv, json, draw
        self._seen, self._names, self._failed = [], Counter(), False
        for path, kind in ((csv, "csv"), (json, "json")):
            if path:
                from fer_lightning.runs.ownership import check_output

                check_output(path, OURS[kind])
        if csv and json and csv.resolve() == json.resolve():
            raise UserError(f"--csv and --json are both {csv}: name two files.")
        if draw:
            for folder in (name for name in inputs if Path(name).is_dir()):
                if draw.resolve().is_relative_to(Path(folder).resolve()):
                    raise UserError(f"--draw {draw} lies in {folder}, whose pictures are read: choose another folder.")
            if draw.exists() and not draw.is_dir():
                raise UserError(f"--draw {draw} is a file: name a folder.")

    def begin(self, network: Network):
        self._network = network
        print(f"Network: {visible(network.name)}")
        if self._draw:
            make_folder(self._draw)

    def add(self, seen: Seen):
        """Say what is wrong with a Seen, draw it, and keep the rest."""
        self._failed |= seen.unread
        if seen.error and (seen.unread or seen.time is None):
            print(visible(seen.error), file=sys.stderr)
        elif seen.note not in (None, WHOLE) and seen.time is None:
            print(visible(f"{seen.source}: {seen.note}."), file=sys.stderr)
        if self._draw and seen.image and seen.time is None:
            self._drawn(draw_picture, seen, seen.source)
        seen.image = None
        self._seen.append(seen)

    def watch(self, camera: int, looking: Looking):
        """Look at a camera, a line a frame, until Ctrl-C."""
        classes = self._network.classes
        try:
            for seen in Finder(looking, self._network.size).frames(camera):
                (seen,) = answered(self._network, [seen])
                best = [f"{classes[face.probabilities.argmax()]} {face.probabilities.max():.3f}" for face in seen.faces]
                print(f"{seen.time:8.1f} s  {visible(', '.join(best)) or 'no face'}", flush=True)
                self.add(seen)
        except KeyboardInterrupt:
            print()

    def end(self) -> bool:
        """Write and show everything. Returns whether something failed: a file could not be read or drawn, or there was no face at all."""
        classes = self._network.classes
        videos = defaultdict(list)
        for one in self._seen:
            if one.time is not None:
                videos[one.source].append(one)
        for source, frames in videos.items():
            if not any(one.faces for one in frames):
                print(f"{visible(source)}: no face found in {len(frames)} frames.", file=sys.stderr)
            elif self._draw:
                self._drawn(draw_video, frames, source)
        whole = sum(one.note == WHOLE for one in self._seen)
        if whole:
            print(
                f"{whole} of {len(self._seen)} pictures are larger than {CUT_OUT} pixels and were taken as one face each, cut to their "
                "middle square. To find faces: pip install 'fer_lightning[photos]'; for faces that are cut out: --no-detect.",
                file=sys.stderr,
            )
        if self._csv:
            replace_file(self._csv, as_csv(self._seen, classes))
        if self._json:
            replace_file(self._json, as_json(self._seen, classes, self._network.name))
        show(self._seen, classes)
        return self._failed or not any(one.faces for one in self._seen)

    def _drawn(self, draw, what, source):
        name = safe_name("_".join(part for part in Path(source).parts if part not in (os.sep, ".", "..")))
        self._names[name] += 1
        number = f"-{self._names[name]}" if self._names[name] > 1 else ""  # the same picture again, or ../a.jpg after a.jpg
        try:
            draw(what, self._network.classes, self._draw / f"{name}{number}.jpg")
        except UserError as error:
            print(error, file=sys.stderr)
            self._failed = True

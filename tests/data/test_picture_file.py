"""Pictures of every kind of number: read as the same picture in 8-bit grey, or refused."""

from contextlib import suppress

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps

from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import UserError

# No grey below 40 or above 230, and no symmetry: a wrong scale or side shows.
FACE = (40 + np.add.outer(3 * np.arange(48), np.arange(48))).astype(np.uint8)
WIDE = FACE.astype(np.uint16) * 257


def lab(face):
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    return ImageCms.profileToProfile(face.convert("RGB"), *profiles, outputMode="LAB")


# What Pillow can write, mode by mode.
KINDS = {
    **{mode: lambda face, mode=mode: face.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "F")},
    **{mode: lambda face, mode=mode: face.convert("RGB").convert(mode) for mode in ("CMYK", "YCbCr")},
    "PA": lambda face: face.convert("P").convert("PA"),
    "LAB": lab,
    "I;16": lambda face: Image.fromarray(WIDE.astype("<u2")),
    "I;16B": lambda face: Image.fromarray(WIDE.astype(">u2")),
    "float": lambda face: Image.fromarray(FACE.astype(np.float32) / 255),
    "32 bits": lambda face: Image.fromarray(WIDE.astype(np.int32)),
    "12 bits": lambda face: Image.fromarray(WIDE // 16),
    "14 bits": lambda face: Image.fromarray(WIDE // 4),
    "8 bits in 16": lambda face: Image.fromarray(FACE.astype(np.uint16)),
}
REFUSED = {"I", "F", "LAB", "float", "32 bits", "12 bits", "14 bits", "8 bits in 16"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_picture_or_a_sentence(kind, tmp_path):
    right = np.asarray(Image.fromarray(FACE).convert("1").convert("L") if kind == "1" else FACE)
    for path in written(kind, tmp_path):
        if kind in REFUSED and not (kind == "32 bits" and path.suffix == ".pgm"):  # whose header says that 65535 is white
            with pytest.raises(UserError, match=rf"^{path}: .*(8 or 16 bits|white is 65535|not supported)"):
                read_picture(path)
        else:
            np.testing.assert_allclose(read_picture(path)[0], right.astype(int), atol=1)  # YCbCr rounds


def written(kind, folder):
    """The files of FACE in this kind, one for each format that can hold it."""
    for suffix in ("png", "tiff", "pgm"):
        path = folder / f"face.{suffix}"
        with suppress(OSError):
            KINDS[kind](Image.fromarray(FACE)).save(path)
            yield path


@pytest.mark.parametrize("white", [15, 100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_a_pgm_is_scaled_by_the_white_in_its_header(white, plain, tmp_path):
    values = np.round(FACE / 255 * white).astype(">u2" if white > 255 else np.uint8)
    text = "\n".join(" ".join(map(str, row)) for row in values).encode() if plain else values.tobytes()
    (tmp_path / "face.pgm").write_bytes(f"{'P2' if plain else 'P5'}\n48 48\n{white}\n".encode() + text)
    np.testing.assert_allclose(read_picture(tmp_path / "face.pgm")[0], FACE.astype(int), atol=128 / white + 1)


@pytest.mark.parametrize("layout", [{"photometric": "miniswhite"}, {"photometric": "rgb", "planarconfig": "separate"}])
def test_a_tiff_of_16_bits_that_pillow_misreads_is_refused(layout, tmp_path):
    tifffile.imwrite(tmp_path / "face.tiff", np.stack([WIDE] * 3) if "planarconfig" in layout else WIDE, **layout)
    with pytest.raises(UserError, match="not certain"):
        read_picture(tmp_path / "face.tiff")


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_turned_upright(orientation, suffix, wide, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(WIDE if wide else FACE).save(tmp_path / f"face.{suffix}", exif=exif)
    turned = Image.fromarray(FACE)
    turned.getexif()[ExifTags.Base.Orientation] = orientation
    np.testing.assert_array_equal(read_picture(tmp_path / f"face.{suffix}")[0], np.asarray(ImageOps.exif_transpose(turned)))

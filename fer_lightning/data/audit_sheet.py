"""Images of what an audit found: identical ones with different labels, near twins across splits, blank ones."""

from matplotlib.figure import Figure

from fer_lightning.data.faces import CLASSES, NO_LABEL, SPLITS
from fer_lightning.process.files import replacing

COLUMNS = 12
MOST = 3 * COLUMNS


def draw(faces, findings, path):
    """Write a PNG with examples of an audit's findings, each image with its row, split and label."""
    sections = list(_sections(faces, findings))
    lines = [max(1, -(-len(shown) // COLUMNS)) for _, shown in sections]
    figure = Figure(figsize=(1.15 * COLUMNS, 1.6 * sum(lines) + 0.35 * len(lines)), layout="constrained")
    rows = figure.subfigures(len(sections), 1, height_ratios=[1.6 * count + 0.35 for count in lines], squeeze=False).flat
    for section, count, (title, shown) in zip(rows, lines, sections, strict=True):
        section.suptitle(title if shown else f"{title}: none", fontsize=11, x=0.01, ha="left")
        for place, axes in enumerate(section.subplots(count, COLUMNS, squeeze=False).flat):
            axes.set_axis_off()
            if place < len(shown):
                row, remark = shown[place]
                axes.imshow(faces.pixels[row, 0], cmap="gray", vmin=0, vmax=255)
                axes.set_title(f"row {row}{remark}\n{SPLITS[faces.usage[row]]}\n{_label(faces.labels[row])}", fontsize=7)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110)


def _sections(faces, findings):
    """Yields (title, [(row, remark)]); the two images of a pair lie side by side."""
    conflicts = [pair for rows in findings["identical"]["rows"] for pair in _conflict(rows, faces.labels)]
    yield "Identical images with different labels", _side_by_side(conflicts)
    if findings["near"]:
        across = [(i, j, f" ({s:.3f})") for i, j, s in findings["near"]["pairs"] if faces.usage[i] != faces.usage[j]]
        yield "Near twins across splits, the least similar ones", _side_by_side(sorted(across, key=lambda pair: pair[2]))
    yield "Blank images", [(row, "") for row in findings["blank"]["rows"][:COLUMNS]]


def _side_by_side(pairs):
    return [(row, remark) for i, j, remark in pairs[: MOST // 2] for row in (i, j)]


def _conflict(rows, labels):
    """The first two labelled images of a group whose labels differ, as [(i, j, "")]; none if all are the same."""
    known = [row for row in rows if labels[row] != NO_LABEL]
    return [(known[0], row, "") for row in known if labels[row] != labels[known[0]]][:1]


def _label(label):
    return "no label" if label == NO_LABEL else CLASSES[label]

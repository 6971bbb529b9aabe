"""What may be relied on in a result.json and a study.json that come from anyone: the kinds of their values, as far as they are there."""

from math import inf

SCALAR = (str, int, float, bool, type(None))
NUMBER = (int, float, type(None))
TEXT = (str, type(None))


class Each:
    """A list, or a mapping of names, of which every value has one shape; null stands for an empty one."""

    def __init__(self, shape, kind=dict):
        self.shape, self.kind = shape, kind


class Whole:
    """A mapping that has all of these names, of one shape."""

    def __init__(self, names, shape):
        self.names, self.shape = names, shape


class Square:
    """A list of as many lists of counts as each has."""


SCORES = {
    **dict.fromkeys(("accuracy", "accuracy_clean", "loss", "macro_f1", "n", "n_clean", "n_clean_near"), NUMBER),
    "per_class": Each(Whole(("precision", "recall", "f1"), (int, float))),
    "confusion": Square(),
}

RESULT_SHAPE = {
    "status": str,
    "protocol": TEXT,
    "job": {"id": TEXT, "study": TEXT, "cell": Each((*SCALAR, list)), "seed": (int, str, type(None)), "overrides": Each(str, list)},
    "data": {"source": TEXT, "verdict": TEXT, "labels": TEXT, "fingerprint": Each(TEXT), "near_twins": NUMBER, "counts": Each(Each(int))},
    "model": {"backbone": TEXT, "parameters": NUMBER, "trainable": NUMBER, "flops": NUMBER},
    "environment": Each(object),
    "selected": {"epoch": NUMBER, "monitor": TEXT, "value": NUMBER},
    "metrics": {"train": SCORES, "val": SCORES, "test": SCORES},
    "stability": Each(SCALAR),
    "time": dict.fromkeys(("fit_s", "test_s", "total_s", "images_per_s", "test_pass_ms"), NUMBER),
    "error": {"type": TEXT, "message": TEXT, "where": TEXT, "traceback": TEXT},
    "batch": {"size": NUMBER, "accumulate": NUMBER},
    "resumed": Each({"epochs": NUMBER, "step": NUMBER, "at": TEXT}, list),
    "mirrors": Each(SCALAR),
}

STUDY_SHAPE = {
    "axes": Each(str, list),
    "jobs": Each(Each(str, list), list),
    "command": Each(str, list),
    "study": {
        **dict.fromkeys(("name", "question", "cost", "paper", "protocol"), TEXT),
        "images": NUMBER,
        "published": Each({"cell": Each(SCALAR), "row": TEXT, "per_class": Each((*SCALAR, dict))}, list),
        "doubts": Each(str, list),
        "analysis": Each((*SCALAR, dict)),
    },
}

# Nothing that is measured here comes near it, and sums of it stay finite.
LARGEST = 1e100


def check_shape(value, shape, where=""):
    """ValueError where a value is of another kind than its shape, or a number beyond all measure. Keys that no shape names pass."""
    if isinstance(shape, Each) and value is not None:
        _check_kind(value, shape.kind, where)
        for name, child in value.items() if shape.kind is dict else enumerate(value):
            check_shape(child, shape.shape, f"{where}.{name}")
    elif isinstance(shape, Whole):
        _check_kind(value, dict, where)
        for name in shape.names:
            check_shape(value.get(name), shape.shape, f"{where}.{name}")
    elif isinstance(shape, Square) and value is not None:
        _check_kind(value, list, where)
        if not value or any(not isinstance(row, list) or len(row) != len(value) for row in value):
            raise ValueError(f"{where.lstrip('.')} is no square")
        check_shape([count for row in value for count in row], Each((int, float), list), where)
    elif isinstance(shape, dict) and value is not None:
        _check_kind(value, dict, where)
        for name, child in value.items():
            if name in shape or isinstance(child, (int, float)):
                check_shape(child, shape.get(name, NUMBER), f"{where}.{name}")
    elif value is not None or not isinstance(shape, (Each, Square, dict)):
        _check_kind(value, shape, where)
        if isinstance(value, (int, float)) and not -LARGEST < value < LARGEST:  # NaN too
            raise ValueError(f"{where.lstrip('.')} is {float('nan') if value != value else inf if value > 0 else -inf}")


def _check_kind(value, kind, where):
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise ValueError(f"{where.lstrip('.') or 'it'} is {type(value).__name__}")

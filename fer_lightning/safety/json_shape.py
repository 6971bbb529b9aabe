"""Type checks for untrusted JSON, such as result.json and study.json; missing keys are allowed."""

from math import inf

SCALAR = (str, int, float, bool, type(None))
NUMBER = (int, float, type(None))
TEXT = (str, type(None))


class Each:
    """A list, or a mapping of names, in which every value has the same shape; null means empty."""

    def __init__(self, shape, kind=dict):
        self.shape, self.kind = shape, kind


class Complete:
    """A mapping that has all of these names, each with the same shape."""

    def __init__(self, names, shape):
        self.names, self.shape = names, shape


class Square:
    """A square matrix of counts, as a list of rows."""


# Far above every measured value, and sums of such numbers stay finite.
LARGEST = 1e100
LARGEST_INTEGER = 2**53  # the last one up to which all are exact as floats


def check_shape(value, shape, where=""):
    """ValueError if a value does not have the type of its shape, or is too large a number. Keys outside the shape are allowed."""
    if isinstance(shape, Each) and value is not None:
        _check_kind(value, shape.kind, where)
        for name, child in value.items() if shape.kind is dict else enumerate(value):
            check_shape(child, shape.shape, f"{where}.{name}")
    elif isinstance(shape, Complete):
        _check_kind(value, dict, where)
        for name in shape.names:
            check_shape(value.get(name), shape.shape, f"{where}.{name}")
    elif isinstance(shape, Square) and value is not None:
        _check_kind(value, list, where)
        if not value or any(not isinstance(row, list) or len(row) != len(value) for row in value):
            raise ValueError(f"{where.lstrip('.')} is not square")
        check_shape([count for row in value for count in row], Each((int, float), list), where)
    elif isinstance(shape, dict) and value is not None:
        _check_kind(value, dict, where)
        for name, child in value.items():
            if name in shape or isinstance(child, (int, float)):
                check_shape(child, shape.get(name, NUMBER), f"{where}.{name}")
    elif value is not None or not isinstance(shape, (Each, Square, dict)):
        _check_kind(value, shape, where)
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise ValueError(f"{where.lstrip('.')} is an integer of {len(str(abs(value)))} digits")
        if isinstance(value, (int, float)) and not -LARGEST < value < LARGEST:  # NaN too
            raise ValueError(f"{where.lstrip('.')} is {float('nan') if value != value else inf if value > 0 else -inf}")


def _check_kind(value, kind, where):
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise ValueError(f"{where.lstrip('.') or 'it'} is {type(value).__name__}")

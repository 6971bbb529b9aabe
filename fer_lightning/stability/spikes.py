"""Which steps of a training count, and which of them are spikes of the loss or of the gradient norm."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

WINDOW = 128  # steps before it that a step is compared with
FEWEST = 32  # of them at least: the median deviation of fewer makes spikes of ordinary steps
SPIKE = 6  # robust standard deviations above the median (OLMo's callback takes 6 standard deviations above the mean of 128 steps)
_CHUNK = 4096  # steps compared at a time: windows of 4 MB


def full_steps(images):
    """(T,) bool: the steps of one phase that saw a full batch. Of FER-2013's 28,709 images the last batch of an epoch has 37.

    Loss and gradient of 37 images vary nearly four times as much as of 512: without this, each epoch would end with a spike.
    images: (T,) that each step saw
    """
    images = np.asarray(images)
    return images >= images.max(initial=0)


def find_spikes(loss, grad_norm, full, since=0):
    """Compare each full step of one phase with the full ones of the up to 128 steps before it.

    loss, grad_norm, full: (T,) of the phase so far; since: the first step to compare, those before it are known from earlier calls
    Returns (spike, residual), (T - since,) each. spike: whether loss or log norm is more than 6 robust SDs above the median of the steps
    before, or is NaN. residual: the log norm minus its median before; NaN if fewer than 32 finite values are before, and for a step that
    is not full. Values that are NaN or infinite are left out of the windows of other steps.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        series = np.asarray(loss, float), np.log(np.asarray(grad_norm, float))
    spike = np.zeros(len(series[0]) - since, bool)
    for x in series:
        median, mad = _before(np.where(full, x, np.nan), since)
        median[~np.asarray(full)[since:]] = np.nan
        with np.errstate(invalid="ignore"):
            residual = x[since:] - median
            spike |= (residual / np.maximum(1.4826 * mad, 1e-3) > SPIKE) | np.isnan(x[since:])
    return spike, residual


def _before(x, since):
    """Median and median absolute deviation of the 128 values before each of x[since:]."""
    numbers = np.concatenate([np.full(WINDOW, np.nan), np.where(np.isfinite(x), x, np.nan)])
    windows = sliding_window_view(numbers, WINDOW)[since : len(x)]
    found = np.empty((2, len(windows)))
    for start in range(0, len(windows), _CHUNK):
        rows = windows[start : start + _CHUNK]
        median = _median(rows)
        found[:, start : start + len(rows)] = median, _median(np.abs(rows - median[:, None]))
    return found


def _median(rows):
    """Of the finite values in each row (N, w); NaN if they are fewer than 32. numpy's nanmedian takes ten times as long."""
    ranked = np.sort(rows, axis=1)  # NaN comes last
    count = np.isfinite(ranked).sum(1)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, rows.shape[1] - 1)], axis=1)
    return np.where(count < FEWEST, np.nan, np.take_along_axis(ranked, middle, 1).mean(1))


def warmup_steps(lr):
    """How many steps of a phase are warm-up: up to the largest learning rate before it first falls; 0 if it does not rise first.

    lr: (T,)
    """
    falls = np.flatnonzero(np.diff(lr) < 0)
    rise = lr[: falls[0] + 1] if len(falls) else lr
    peak = int(np.argmax(rise)) if len(rise) else 0
    return peak + 1 if peak else 0


def counted_steps(phase, lr, full):
    """(T,) bool: the full steps that count: after the warm-up of their phase and with enough steps of the phase before them.

    phase: (T,) the number of each step's phase; the steps of a phase are consecutive; full: (T,) see `full_steps`
    """
    starts = np.flatnonzero(np.diff(phase, prepend=np.nan))
    parts = np.split(np.asarray(lr), starts[1:])
    late = [np.arange(len(part)) >= max(FEWEST, warmup_steps(part)) for part in parts] if len(lr) else [np.zeros(0, bool)]
    return np.concatenate(late) & np.asarray(full, bool)

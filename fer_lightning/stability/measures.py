"""How stable one training was: a function for each measure, on series of numbers alone, and the label that follows from them.

    div     diverged: a loss or gradient that is no number, or an end no better than guessing
    spk     spikes of loss or gradient norm per 1,000 steps
    osc     zig-zag of the validation loss, in units of its net travel
    jit     jitter of the validation accuracy in the last fifth of the run, points
    gnv     volatility of the gradient norm from step to step, in units of its logarithm
    clip    share of the steps whose gradient was clipped;   gtrend  log of the norm's last tenth over its first
    dead    largest share of inactive units in one layer;    dormant   share of dormant units in all of them
    gap     training less validation accuracy, points;       drift     final less smallest validation loss
    eos     learning rate over the largest stable one;       pred      how much the gradient changes over one step

A measure that a run is too short for is None. Steps count from the end of the warm-up of their phase, and need 32 steps of the same phase
before them to be held against.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

MEASURES = ("div", "spk", "osc", "jit", "gnv", "clip", "gtrend", "dead", "dormant", "gap", "drift", "eos", "pred")

# The five that a label is made of, each with the largest value of a High run and the largest that is not a mark of a Low one.
CUTS = {"spk": (0.5, 3.0), "osc": (0.5, 1.5), "jit": (0.5, 1.2), "gnv": (0.25, 0.6), "dead": (0.05, 0.30)}

WINDOW = 128  # steps that a step is held against
FEWEST = 32  # of them at least: the median deviation of fewer makes spikes of ordinary steps
ENOUGH = 334  # steps that spk, gnv, clip and gtrend are made of: of fewer, one spike alone would exceed the 3 per 1,000 of a Low run
LONG = 10  # epochs that jit needs: of fewer, its last five reach into the first half, where the curve bends
SPIKE = 6  # robust SDs above the median
GUESSING = math.log(7), 30.0  # the loss of equal probabilities, and an accuracy in % a little above that of the largest class
_CHUNK = 4096  # steps looked at in one go: windows of 4 MB


def judge(loss, grad_norm, since=0):
    """Hold steps of one phase against the up to 128 before them.

    loss, grad_norm: (T,) of the phase so far; since: the first step to judge, those before it having been judged already
    Returns (spike, residual), (T - since,) each: whether loss or log norm lies more than 6 robust SDs above the median, or is no number;
    the log norm less its median. A value that is no number is left out of the windows of others; NaN where fewer than 32 are left.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        series = np.asarray(loss, float), np.log(np.asarray(grad_norm, float))
    spike = np.zeros(len(series[0]) - since, bool)
    for x in series:
        median, mad = _before(x, since)
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
    """Of the numbers in each row (N, w); NaN where they are fewer than 32. numpy's nanmedian takes ten times as long."""
    ranked = np.sort(rows, axis=1)  # NaN comes last
    count = np.isfinite(ranked).sum(1)
    middle = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, rows.shape[1] - 1)], axis=1)
    return np.where(count < FEWEST, np.nan, np.take_along_axis(ranked, middle, 1).mean(1))


def warmup_steps(lr):
    """How many steps of a phase its warm-up takes: up to the first largest rate before any fall, 0 where the rate never rises first.

    lr: (T,)
    """
    falls = np.flatnonzero(np.diff(lr) < 0)
    rise = lr[: falls[0] + 1] if len(falls) else lr
    peak = int(np.argmax(rise)) if len(rise) else 0
    return peak + 1 if peak else 0


def counted(phase, lr):
    """(T,) bool: the steps that count, after the warm-up of their phase and with enough steps before them.

    phase: (T,) a number for each step, the steps of a phase being neighbours
    """
    starts = np.flatnonzero(np.diff(phase, prepend=np.nan))
    parts = np.split(np.asarray(lr), starts[1:])
    return np.concatenate([np.arange(len(part)) >= max(FEWEST, warmup_steps(part)) for part in parts]) if len(lr) else np.zeros(0, bool)


def diverged(loss, grad_norm, val_loss, val_accuracy):
    """Whether any step was no number, or the run ended above the loss of guessing, ln 7, or below 30 %. val_accuracy: %, (E,).

    The end counts from three epochs on: before, no run has learnt.
    """
    if not (np.isfinite(loss).all() and np.isfinite(grad_norm).all()):
        return True
    return len(val_loss) >= 3 and not bool(val_loss[-1] <= GUESSING[0] and val_accuracy[-1] >= GUESSING[1])


def spike_rate(spike):
    """Spikes per 1,000 steps. spike: (T,) of the steps that count, 334 at least."""
    return 1000 * float(np.mean(spike)) if len(spike) >= ENOUGH else None


def oscillation(val_loss):
    """Travel of the validation loss beyond its fall to the minimum and its rise from there, over that net travel + 0.02.

    0 for any fall and rise, so overfitting is no oscillation; 1 for as much zig-zag as net travel. val_loss: (E,), 3 at least.
    """
    if len(val_loss) < 3 or not np.isfinite(val_loss).all():
        return None
    net = val_loss[0] + val_loss[-1] - 2 * np.min(val_loss)
    return float(max(0.0, np.abs(np.diff(val_loss)).sum() - net) / (net + 0.02))


def jitter(val_accuracy):
    """SD, in points, of the last max(5, a fifth) validation accuracies about their line; two degrees of freedom go to the line.

    val_accuracy: %, (E,), 10 at least.
    """
    if len(val_accuracy) < LONG:
        return None
    last = max(5, math.ceil(0.2 * len(val_accuracy)))
    y = np.asarray(val_accuracy, float)[-last:]
    x = np.arange(last) - (last - 1) / 2
    residual = y - y.mean() - x * (x @ y) / (x @ x)
    return float(np.sqrt(residual @ residual / (last - 2)))


def gradient_volatility(residual):
    """Robust SD (1.4826 times the median absolute deviation) of the log norm less the median of the steps before it.

    residual: (T,) of the steps that count, 334 numbers at least
    """
    numbers = residual[np.isfinite(residual)]
    return float(1.4826 * np.median(np.abs(numbers - np.median(numbers)))) if len(numbers) >= ENOUGH else None


def clip_share(grad_norm, limit):
    """Share of the steps (T,), 334 at least, whose norm lies above the limit; None where there is no limit on the norm."""
    return float(np.mean(grad_norm > limit)) if limit and len(grad_norm) >= ENOUGH else None


def gradient_trend(grad_norm):
    """Log of the median norm of the last tenth of the steps over that of the first tenth. (T,), 334 at least."""
    if len(grad_norm) < ENOUGH:
        return None
    tenth = len(grad_norm) // 10
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(np.median(grad_norm[-tenth:]) / np.median(grad_norm[:tenth])))


def gap(train_accuracy, val_accuracy, val_loss):
    """Training less validation accuracy, in the unit they are in, at the epoch with the smallest validation loss."""
    best = _best(val_loss)
    return None if best is None else float(train_accuracy[best] - val_accuracy[best])


def drift(val_loss):
    """Final less smallest validation loss. (E,), 3 at least."""
    best = _best(val_loss)
    return None if best is None or len(val_loss) < 3 else float(val_loss[-1] - val_loss[best])


def _best(val_loss):
    return None if not np.isfinite(val_loss).any() else int(np.nanargmin(np.where(np.isfinite(val_loss), val_loss, np.nan)))


def late_median(values):
    """Median of what the second half of the epochs measured. values: (E,), NaN for an epoch that did not."""
    late = np.asarray(values, float)[len(values) // 2 :]
    late = late[~np.isnan(late)]
    return float(np.median(late)) if len(late) else None


def summary(steps, epochs, clip_at=None):
    """All measures of a run and the label they give: what result.json holds as `stability`.

    steps:   {phase, loss, grad_norm, lr, and spike and residual as `judge` gives them: (T,)}
    epochs:  {val_loss; val_accuracy, train_accuracy: in %; dead, dormant; eos, pred where asked for: (E,)}, NaN for what an epoch did not
             measure; without a val_accuracy it was not validated
    clip_at: the largest norm that clipping lets pass

    eos and pred are medians over the second half of the epochs, dead and dormant those of the last one.
    """
    steps, epochs = ({name: np.asarray(values) for name, values in table.items()} for table in (steps, epochs))
    count = counted(steps["phase"], steps["lr"])
    norm = steps["grad_norm"][count]
    validated = ~np.isnan(epochs["val_accuracy"])
    val_loss, val_accuracy, train_accuracy = (epochs[name][validated] for name in ("val_loss", "val_accuracy", "train_accuracy"))
    measures = {
        "div": diverged(steps["loss"], steps["grad_norm"], val_loss, val_accuracy),
        "spk": spike_rate(steps["spike"][count]),
        "osc": oscillation(val_loss),
        "jit": jitter(val_accuracy),
        "gnv": gradient_volatility(steps["residual"][count]),
        "clip": clip_share(norm, clip_at),
        "gtrend": gradient_trend(norm),
        "dead": float(epochs["dead"][-1]),
        "dormant": float(epochs["dormant"][-1]),
        "gap": gap(train_accuracy, val_accuracy, val_loss),
        "drift": drift(val_loss),
    }
    measures |= {name: late_median(epochs[name]) for name in ("eos", "pred") if name in epochs}
    measures = {name: value if value is not None and math.isfinite(value) else None for name, value in measures.items()}
    return measures | {"label": provisional_label(measures), "provisional": True}


def provisional_label(measures):
    """Low, Moderate, High or Undetermined, from one run; the label of a cell is made of its seeds (analysis/stability_of_cells.py).

    measures: {name: value or None}; the five of `CUTS` and div matter
    Low if diverged or any two lie above their upper cut; High if all five keep below their lower one; else Moderate. A run that lacks one
    of the five can still be Low, else it is Undetermined: what is not known might be what is wrong.
    """
    known = {name: measures[name] for name in CUTS if measures.get(name) is not None}
    if measures["div"] or sum(value > CUTS[name][1] for name, value in known.items()) >= 2:
        return "Low"
    if len(known) < len(CUTS):
        return "Undetermined"
    return "High" if all(value <= CUTS[name][0] for name, value in known.items()) else "Moderate"

"""How stable one training was: one function for each measure, on series of numbers.

    div     diverged: a loss or gradient became NaN or infinite, or the run ended no better than guessing
    spk     spikes of the loss or the gradient norm per 1,000 steps
    osc     zig-zag of the validation loss, relative to its net change
    jit     jitter of the validation accuracy in the last fifth of the run, points
    gnv     volatility of the gradient norm from step to step, on the log scale
    clip    share of the steps whose gradient was clipped;   gtrend  log of the gradient norm's last tenth over its first
    dead    largest share of inactive units in one layer;    dormant share of dormant units in all layers
    gap     training minus validation accuracy, points;      drift   final minus smallest validation loss
    eos     learning rate over the largest stable one;       pred    relative change of the gradient over one step

A measure is None if the run is too short for it. Steps count from the end of the warm-up of their phase, with at least 32 steps of the
same phase before them (`fer_lightning.stability.spikes`). docs/stability.md gives the definitions.
"""

import math

import numpy as np

from fer_lightning.stability.run_label import CUT_OFFS, provisional_label
from fer_lightning.stability.spikes import counted_steps

MEASURES = ("div", "spk", "osc", "jit", "gnv", "clip", "gtrend", "dead", "dormant", "gap", "drift", "eos", "pred")

ENOUGH = 334  # steps that gnv, clip and gtrend need: a tenth of them is then 33 or more
ENOUGH_FOR_SPIKES = math.ceil(1000 / CUT_OFFS["spk"][1])  # 834: with fewer, a single spike would be a sign of Low
LONG = 10  # epochs that jit needs: with fewer, its last five reach into the first half, where the curve bends
GUESSING = math.log(7), 30.0  # of FER-2013's seven classes, see `guessing`


def guessing(counts):
    """(loss of equal probabilities, accuracy in % that is five points above that of the largest class). counts: images of each class"""
    return math.log(len(counts)), 100 * max(counts) / sum(counts) + 5


def diverged(loss, grad_norm, val_loss, val_accuracy, *, guess=GUESSING):
    """Whether a loss or gradient was NaN or infinite, or the run ended no better than guessing: in accuracy, or in both losses.

    loss, grad_norm: (T,); val_loss, val_accuracy in %: (E,); guess: (loss, accuracy in %) of guessing. The end counts from three epochs
    on: before, no run has learnt. The training loss at the end is the median of the last tenth of the steps. A validation loss above
    guessing with a small training loss is overfitting: a network that is too sure of itself, and may be the most accurate of its study.
    """
    if not (np.isfinite(loss).all() and np.isfinite(grad_norm).all()):
        return True
    if len(val_loss) < 3:
        return False
    end = np.median(loss[-max(1, len(loss) // 10) :])
    return not bool(val_accuracy[-1] >= guess[1] and math.isfinite(val_loss[-1]) and min(val_loss[-1], end) <= guess[0])


def spike_rate(spike):
    """Spikes per 1,000 steps. spike: (T,) of the steps that count; at least 834."""
    return 1000 * float(np.mean(spike)) if len(spike) >= ENOUGH_FOR_SPIKES else None


def oscillation(val_loss):
    """Zig-zag of the validation loss: the sum of its changes beyond its fall to the minimum and rise from there, over that fall and rise.

    0 for any curve that falls, then rises, so overfitting is no oscillation; 1 for as much zig-zag as fall and rise. 0.02 is added to the
    denominator. val_loss: (E,), at least 3 epochs.
    """
    if len(val_loss) < 3 or not np.isfinite(val_loss).all():
        return None
    net = val_loss[0] + val_loss[-1] - 2 * np.min(val_loss)
    return float(max(0.0, np.abs(np.diff(val_loss)).sum() - net) / (net + 0.02))


def jitter(val_accuracy):
    """SD, in points, of the validation accuracy about its straight line, over the last fifth of the epochs and at least 5.

    val_accuracy: %, (E,), at least 10. The line takes two degrees of freedom.
    """
    if len(val_accuracy) < LONG:
        return None
    last = max(5, math.ceil(0.2 * len(val_accuracy)))
    y = np.asarray(val_accuracy, float)[-last:]
    x = np.arange(last) - (last - 1) / 2
    residual = y - y.mean() - x * (x @ y) / (x @ x)
    return float(np.sqrt(residual @ residual / (last - 2)))


def gradient_volatility(residual):
    """Robust SD (1.4826 times the median absolute deviation) of the log gradient norm minus the median of the steps before it.

    residual: (T,) of the steps that count, see `find_spikes`; at least 334 finite values
    """
    finite = residual[np.isfinite(residual)]
    return float(1.4826 * np.median(np.abs(finite - np.median(finite)))) if len(finite) >= ENOUGH else None


def clip_share(grad_norm, limit):
    """Share of the steps (T,), at least 334, whose norm is above the limit; None if the norm has no limit."""
    return float(np.mean(grad_norm > limit)) if limit and len(grad_norm) >= ENOUGH else None


def gradient_trend(grad_norm):
    """Log of the ratio of median norms, the last tenth of the steps over the first tenth. grad_norm: (T,), at least 334."""
    if len(grad_norm) < ENOUGH:
        return None
    tenth = len(grad_norm) // 10
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log(np.median(grad_norm[-tenth:]) / np.median(grad_norm[:tenth])))


def gap(train_accuracy, val_accuracy, val_loss):
    """Training minus validation accuracy, in their unit, at the epoch with the smallest validation loss. All (E,)."""
    best = _best(val_loss)
    return None if best is None else float(train_accuracy[best] - val_accuracy[best])


def drift(val_loss):
    """Final minus smallest validation loss. val_loss: (E,), at least 3."""
    best = _best(val_loss)
    return None if best is None or len(val_loss) < 3 else float(val_loss[-1] - val_loss[best])


def _best(val_loss):
    return None if not np.isfinite(val_loss).any() else int(np.nanargmin(np.where(np.isfinite(val_loss), val_loss, np.nan)))


def late_median(values):
    """Median over the second half of the epochs. values: (E,), NaN for an epoch without a measurement."""
    late = np.asarray(values, float)[len(values) // 2 :]
    late = late[~np.isnan(late)]
    return float(np.median(late)) if len(late) else None


def run_stability(steps, epochs, clip_at=None, guess=GUESSING):
    """All measures of a run and its label: the `stability` of result.json.

    steps:   {phase, loss, grad_norm, lr; full: see `full_steps`; spike, residual: see `find_spikes`; (T,) each}
    epochs:  {val_loss; val_accuracy, train_accuracy: in %; dead, dormant; eos, pred if measured; (E,) each}, NaN for what an epoch did
             not measure; an epoch without a val_accuracy was not validated
    clip_at: the largest gradient norm that clipping allows; guess: see `diverged`

    eos and pred are medians over the second half of the epochs; dead and dormant are those of the last epoch.
    """
    steps, epochs = ({name: np.asarray(values) for name, values in table.items()} for table in (steps, epochs))
    count = counted_steps(steps["phase"], steps["lr"], steps["full"])
    norm = steps["grad_norm"][count]
    validated = ~np.isnan(epochs["val_accuracy"])
    val_loss, val_accuracy, train_accuracy = (epochs[name][validated] for name in ("val_loss", "val_accuracy", "train_accuracy"))
    measures = {
        "div": diverged(steps["loss"], steps["grad_norm"], val_loss, val_accuracy, guess=guess),
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

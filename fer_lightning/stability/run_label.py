"""The provisional stability label of one run; analysis/stability_labels.py labels a cell by its seeds."""

# The five measures that make a label: the largest value of a run labelled High, and the value above which it is a sign of Low.
# Calibrated on 221 runs with a suitable learning rate and 21 with one that was too large, and frozen since (docs/stability.md). In every
# study 95 % of the former are below the first value and all below the second, but for dead, which was set by hand.
CUT_OFFS = {"spk": (0.8, 1.2), "osc": (1.0, 1.6), "jit": (0.4, 0.8), "gnv": (0.2, 0.25), "dead": (0.05, 0.30)}

TITLES = {"spk": "spikes", "osc": "oscillation", "jit": "jitter", "gnv": "gradient volatility", "dead": "inactive units"}


def provisional_label(measures):
    """Low, Moderate, High or Undetermined, from one run.

    measures: {name: value or None}; div and the five of `CUT_OFFS` are used
    Low if the run diverged or two of the five are above their upper cut-off; High if none is above its lower one; else Moderate. A run
    that lacks one of the five can still be Low, else it is Undetermined: the unknown measure might be the bad one.
    """
    known = {name: measures[name] for name in CUT_OFFS if measures.get(name) is not None}
    if measures["div"] or sum(value > CUT_OFFS[name][1] for name, value in known.items()) >= 2:
        return "Low"
    if len(known) < len(CUT_OFFS):
        return "Undetermined"
    return "High" if all(value <= CUT_OFFS[name][0] for name, value in known.items()) else "Moderate"

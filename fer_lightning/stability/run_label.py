"""The provisional stability label of one run; analysis/stability_labels.py labels a cell by its seeds."""

# The five measures that make a label: the largest value of a run labelled High, and the value above which it is a sign of Low.
CUT_OFFS = {"spk": (0.5, 3.0), "osc": (0.5, 1.5), "jit": (0.5, 1.2), "gnv": (0.25, 0.6), "dead": (0.05, 0.30)}

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

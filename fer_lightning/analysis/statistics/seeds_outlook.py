"""How many more seeds: studies of other sizes, drawn from this one, and the word that each of them gets."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.descriptive import logit
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.interaction_verdict import conditions
from fer_lightning.analysis.statistics.paired_tests import holm, mean_floor, t_tests
from fer_lightning.analysis.statistics.power import TARGET
from fer_lightning.analysis.wording import percent

SEEDS = (3, 5, 7, 10, 14, 20, 28, 40, 56, 80)
STUDIES = 1000
WORDS = ("synergy", "additive", "inconclusive")

# Numbers in the tables of all drawn studies of one size: larger grids are drawn less often.
MOST_NUMBERS = 2_000_000

# Images drawn at a time: their counts stay in the processor's cache.
CHUNK = 250


def outlook(y, weights, differences, *, analysis, images, right=None):
    """Frame of the chance of each word (columns WORDS, fractions) by the number of `seeds`, if the truth is what this study has estimated.

    y: (blocks, A, B), accuracies without NaN; weights: (differences, cells); differences: frame of the tested contrasts, with clean and
    logit; images: of how many each accuracy is a share; right: (blocks, cells, images), or None if images are not resampled

    A drawn study has the cells' means of this one, moved by drawing its images with replacement, and to each run a residual of this one
    (pooled over seeds and cells, as the analysis of variance pools them). Both are scaled to their unbiased variances: a plain bootstrap
    of a few seeds would take their noise for a difference between images, and no number of seeds would help. Each drawn study is tested
    and judged as a real one, with learning rates tuned in every cell.
    """
    rng = np.random.default_rng(0)
    flat = y.reshape(len(y), -1)
    cells = flat.shape[1]
    means, residual = flat.mean(0), flat - flat.mean(0) - flat.mean(1, keepdims=True) + flat.mean()
    pool = residual.ravel() * np.sqrt(residual.size / ((cells - 1) * (len(y) - 1)))
    floor = mean_floor(differences)
    studies = int(np.clip(MOST_NUMBERS // (max(SEEDS) * cells), 100, STUDIES))
    moved = np.broadcast_to(means, (studies, cells))
    if floor > 0:
        moved = means + _image_shifts(right, weights, rng, floor=floor, studies=studies)
    rows = []
    for seeds in SEEDS:
        drawn = moved[:, None] + rng.choice(pool, (studies, seeds, cells))
        words = _words(drawn, y.shape[1:], weights, differences, floor=floor, images=images, analysis=analysis)
        rows.append({"seeds": seeds} | {word: float(np.mean(words == word)) for word in WORDS})
    return pd.DataFrame(rows)


def _image_shifts(right, weights, rng, *, floor, studies):
    """(studies, cells): how much other images move the cells' means, such that contrasts move by `floor` on average."""
    share = right.mean(0, dtype=np.float32)
    size = share.shape[1]
    chunks = [min(CHUNK, studies - start) for start in range(0, studies, CHUNK)]
    shifts = np.concatenate([_counts(rng, chunk, size) @ share.T / size for chunk in chunks]) - share.mean(1)
    return shifts * floor / np.sqrt((shifts @ weights.T).var(0).mean())


def _counts(rng, draws, n):
    """How often each of n things is among n draws with replacement: (draws, n)."""
    drawn = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float32)


def _words(drawn, shape, weights, differences, *, floor, images, analysis):
    """The word of each study of drawn (studies, seeds, cells)."""
    studies, seeds, _ = drawn.shape
    values = drawn @ weights.T
    estimate = values.mean(1)
    spread = values.std(1, ddof=1)
    error = np.sqrt(np.where(spread > 1e-12, spread, np.nan) ** 2 / seeds + floor**2)  # as in `paired_tests`
    p, equivalence_p = t_tests(estimate, error, seeds - 1, analysis.sesoi)
    on_logit = logit(np.clip(drawn.mean(1), 0, 1), images) @ weights.T
    # What moves a difference on all images moves it on the clean ones among them.
    clean = differences["clean"].to_numpy() + estimate - differences["estimate"].to_numpy()
    gains = {"estimate": estimate, "p_holm": holm(p), "equivalence_p": equivalence_p, "clean": clean, "logit": on_logit}
    return conditions(two_way(drawn.reshape(studies, seeds, *shape)).p["ab"], gains, analysis).words(tuned=True)


def _enough(frame):
    """A sentence on the smallest number of seeds that gives a word in most cases."""
    for word in WORDS[:2]:
        enough = frame[frame[word] >= TARGET]
        if len(enough):
            first = enough.iloc[0]
            return f"{first['seeds']:.0f} seeds would give the word {word} in {percent(first[word], 0)} % of studies."
    return f"No number of seeds up to {frame['seeds'].max()} would give the word synergy or additive in {percent(TARGET, 0)} % of studies."


def outlook_finding(frame, seeds, tuned):
    """The Finding on the chances of `outlook`. seeds: those that this study has."""
    text = [
        _enough(frame),
        "The chance of each word for a study of so many seeds, if the true means are those estimated here: studies are drawn from the "
        "residuals and the images of this one, and judged by the same rule. These estimates are uncertain themselves, the more so the "
        f"fewer seeds they come from (here {seeds}); so take the table as a plan, not as a result.",
    ]
    if not tuned:
        text.append("It assumes a learning rate tuned in every cell, without which no study gets either word.")
    shown = pd.DataFrame({"seeds": frame["seeds"].astype(str)} | {f"{word} %": frame[word].map(lambda x: percent(x, 0)) for word in WORDS})
    return Finding("How many more seeds", tuple(text), shown)

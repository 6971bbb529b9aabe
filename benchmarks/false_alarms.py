"""How often the verdict on an interaction is wrong, and how often right: simulated studies whose truth is known.

    python benchmarks/false_alarms.py [--studies 1000] [--images 3589]

The world is S0's grid, 2 norms x 4 activations. A run gets an image right with the probability Phi of its cell's ability, the image's
difficulty (SD 2), and what this cell finds hard or easy in this image (SD `--spread`, 0.2): residual SD about 0.49 points on 3,589
images. In the truth, which is the mean over all images there could be, one activation gains 0, half, one or two times the smallest effect
of interest (0.5 points) more than the others. Each study is drawn once with the most seeds, and its first seeds are the smaller studies.

Printed as the tables of docs/statistics.md: the share of studies that get each word, of them the false alarms: synergy where there is
none, additive where the difference is exactly the smallest of interest, in the whole grid and in the 2 x 2 cells that differ; beside it,
in brackets, the share if tests knew the seeds alone. Then how often the number of seeds that `seeds_needed` promises 80 % for is enough,
how often intervals contain the truth, and what small studies foretell of larger ones (`outlook`).
"""

import argparse
import time

import numpy as np
import scipy

from fer_lightning.analysis.statistics.contrasts import Contrast
from fer_lightning.analysis.statistics.descriptive import logit
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.interaction_verdict import conditions
from fer_lightning.analysis.statistics.paired_tests import contrast_tests, holm, interval_alphas, t_tests
from fer_lightning.analysis.statistics.power import seeds_needed
from fer_lightning.analysis.statistics.seeds_needed import StudyPower
from fer_lightning.analysis.statistics.seeds_outlook import outlook
from fer_lightning.analysis.statistics.two_way_variance import two_way_variance
from fer_lightning.config.registered_analysis import Analysis

DIFFICULTY = 2.0
LEVEL = 0.73
GAIN = 0.03
NORMS, ACTS = 2, 4
SEEDS = (5, 10, 20, 40, 80)
WORDS = ("synergy", "additive")
ANALYSIS = Analysis(tuned_per_cell=True)

# Gain of each activation minus that of the last; cells are in the order norm, activation, and the first norm is the treatment.
GAINS = np.concatenate([np.eye(ACTS), -np.eye(ACTS)])
CONTRASTS = GAINS[:, :-1] - GAINS[:, -1:]


class World:
    """Accuracies of cells and images; `extra` is what the first activation gains more."""

    def __init__(self, extra, spread):
        self.extra, self.spread = extra, spread
        accuracy = np.full((NORMS, ACTS), LEVEL)
        accuracy[0] += GAIN
        accuracy[0, 0] += extra
        # A mean of Phi(ability + N(0, s^2)) over images is Phi(ability / sqrt(1 + s^2)).
        self.ability = scipy.stats.norm.ppf(accuracy.ravel()) * np.sqrt(1 + DIFFICULTY**2 + spread**2)

    def study(self, rng, seeds, images):
        """Whether each run got each image right: (seeds, cells, images)."""
        cells = len(self.ability)
        easy = rng.normal(0, DIFFICULTY, images) + rng.normal(0, self.spread, (cells, images)) + self.ability[:, None]
        chance = scipy.special.ndtr(easy).astype(np.float32)
        return rng.random((seeds, cells, images), dtype=np.float32) < chance


def per_image(right):
    """The contrasts image by image, (contrasts, seeds, images), of right (seeds, cells, images)."""
    return CONTRASTS.T.astype(np.float32) @ right.transpose(1, 0, 2).reshape(right.shape[1], -1).astype(np.float32)


def judge(right, seeds):
    """For the studies of the first `seeds` seeds, a number each: (word, whether the first difference is equivalent to 0), as it is and if
    tests knew the seeds alone.
    """
    _, _, images = right.shape
    differences = per_image(right).reshape(-1, len(right), images)
    scores, clean_scores = right.mean(2), right[:, :, images // 10 :].mean(2)
    for n in seeds:
        accuracy, values = scores[:n], scores[:n] @ CONTRASTS
        floors = np.array([max(two_way_variance(contrast[:n])[1], 0) for contrast in differences])
        estimate = values.mean(0)
        gains = {"estimate": estimate, "clean": clean_scores[:n].mean(0) @ CONTRASTS}
        gains["logit"] = logit(accuracy, images).mean(0) @ CONTRASTS
        interaction_p = two_way(accuracy.reshape(n, NORMS, ACTS)).p["ab"]
        words = []
        for images_too in (True, False):
            error = np.sqrt(values.var(0, ddof=1) / n + images_too * floors)
            p, gains["equivalence_p"] = t_tests(estimate, error, n - 1, ANALYSIS.sesoi)
            met = conditions(interaction_p, gains | {"p_holm": holm(p)}, ANALYSIS)
            words.append((str(met.words(True)), str(met.equivalent[0])))
        yield words


def alarms(world, rng, *, studies, images, seeds=SEEDS):
    """What `judge` says of drawn studies: (studies, seeds, 2, 2)."""
    return np.array([list(judge(world.study(rng, max(seeds), images), seeds)) for _ in range(studies)])


def promise(spread, rng, *, studies, images):
    """(residual SD, floor, seeds that promise 80 %, share of studies with them that say synergy), if one activation gains 1 point more."""
    world = World(2 * ANALYSIS.sesoi, spread)
    pilots = [world.study(rng, 10, images) for _ in range(20)]
    sd = np.sqrt(np.mean([two_way(pilot.mean(2).reshape(-1, NORMS, ACTS)).sd_residual ** 2 for pilot in pilots]))
    contrasts = [per_image(pilot).reshape(-1, len(pilot), images)[0] for pilot in pilots]
    floor = np.sqrt(max(np.mean([two_way_variance(contrast)[1] for contrast in contrasts]), 0))
    study = StudyPower(float(sd), {"norm": NORMS, "act": ACTS}, ACTS - 1, ANALYSIS.alpha, ANALYSIS.sesoi, floor=float(floor))
    seeds = seeds_needed(study.synergy, 2 * ANALYSIS.sesoi)
    if not seeds or seeds > 1000:
        return sd, floor, "over 1,000", np.nan
    words = alarms(world, rng, studies=studies, images=images, seeds=(seeds,))
    return sd, floor, seeds, np.mean(words[:, 0, 0, 0] == "synergy")


def coverage(world, rng, *, studies, images, seeds=(5, 10, 20, 40)):
    """A row for each number of seeds: how often a 95 % interval of one difference contains the truth, over seeds alone and over images
    too, and how often all simultaneous intervals do.
    """
    truth = world.extra * CONTRASTS[0]
    held = []
    for _ in range(studies):
        differences = per_image(world.study(rng, max(seeds), images)).reshape(len(truth), -1, images)
        for n in seeds:
            values = differences[:, :n].mean(2)
            floors = np.array([max(two_way_variance(contrast[:n])[1], 0) for contrast in differences])
            alone = np.sqrt(values.var(1, ddof=1) / n)
            both = np.sqrt(alone**2 + floors)
            apart = np.abs(values.mean(1) - truth)
            p, _ = t_tests(values.mean(1), both, n - 1, ANALYSIS.sesoi)
            single, joint = scipy.stats.t.isf(0.025, n - 1), scipy.stats.t.isf(interval_alphas(p, 0.05) / 2, n - 1)
            held.append([n, (apart <= single * alone).mean(), (apart <= single * both).mean(), (apart <= joint * both).all()])
    held = np.array(held)
    return [held[held[:, 0] == n].mean(0) for n in seeds]


def foretold(world, rng, *, studies, images, pilots=(5, 10, 20)):
    """{seeds of a pilot: (quartiles and mean of the chances that it gives to synergy with 20 seeds)}"""
    contrasts = [Contrast(str(k), weights) for k, weights in enumerate(CONTRASTS.T)]
    found = {n: [] for n in pilots}
    for _ in range(studies):
        for n in pilots:
            right = world.study(rng, n, images)
            accuracy = right.mean(2)
            frame = contrast_tests(accuracy, contrasts, ANALYSIS, right)
            frame["clean"], frame["logit"] = frame["estimate"], frame["estimate"]
            y = accuracy.reshape(n, NORMS, ACTS)
            chances = outlook(y, CONTRASTS.T, frame, analysis=ANALYSIS, images=images, right=right).set_index("seeds")
            found[n].append(chances.loc[20, "synergy"])
    return {n: [*np.quantile(chances, (0.25, 0.5, 0.75)), np.mean(chances)] for n, chances in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--images", type=int, default=3589)
    parser.add_argument("--spread", type=float, default=0.2)
    arguments = parser.parse_args()
    start, sizes = time.perf_counter(), {"studies": arguments.studies, "images": arguments.images}
    print("| true difference, points | word | " + " | ".join(f"{n} seeds" for n in SEEDS) + " |\n|---|---|" + "---|" * len(SEEDS))
    for times in (0, 0.5, 1, 2):
        extra = times * ANALYSIS.sesoi
        words = alarms(World(extra, arguments.spread), np.random.default_rng(0), **sizes)
        found = {word: words[..., 0] == word for word in WORDS} | {"additive, 2 x 2": words[..., 1] == "True"}
        for word, said in found.items():
            cells = " | ".join(f"{100 * both:.1f} % ({100 * alone:.1f})" for both, alone in said.mean(0))
            print(f"| {100 * extra:.2f} | {word} | {cells} |", flush=True)
    print("\n| cell x image SD | residual SD, points | floor, points | seeds promised for 80 % | synergy with them |")
    print("|---|---|---|---|---|")
    for spread in (0.0, 0.15, 0.3):
        sd, floor, seeds, share = promise(spread, np.random.default_rng(1), **sizes)
        print(f"| {spread} | {100 * sd:.2f} | {100 * floor:.2f} | {seeds} | {100 * share:.1f} % |", flush=True)
    world = World(2 * ANALYSIS.sesoi, arguments.spread)
    print("\n| seeds | interval over seeds alone | over seeds and images | all three simultaneous ones |\n|---|---|---|---|")
    for n, *shares in coverage(world, np.random.default_rng(2), **sizes):
        print(f"| {n:.0f} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |", flush=True)
    sizes["studies"] = max(arguments.studies // 10, 1)
    print("\n| seeds of the pilot | chance of synergy with 20 seeds: quartiles | mean |\n|---|---|---|")
    for n, (low, middle, high, mean) in foretold(world, np.random.default_rng(3), **sizes).items():
        print(f"| {n} | {100 * low:.0f}, {100 * middle:.0f}, {100 * high:.0f} % | {100 * mean:.0f} % |", flush=True)
    print(f"{time.perf_counter() - start:.1f} s for {arguments.studies} studies of {arguments.images} images")


if __name__ == "__main__":
    main()

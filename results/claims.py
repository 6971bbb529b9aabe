"""What the papers conclude, and what the records here say of each conclusion: yes, no or not decided."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from omegaconf import OmegaConf

from fer_lightning.analysis import two_runs
from fer_lightning.analysis.stability_of_cells import measured_runs, stability_table
from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.wording import listed
from fer_lightning.config.groups import CONF
from fer_lightning.config.registered_analysis import registered
from fer_lightning.runs.predictions import part_of, predicted, probabilities, read_predictions

YES, NO, OPEN = "yes", "no", "not decided"


GELU_BN, NO_AUGMENTATION = {"head.act": "gelu", "head.norm": "bn"}, {"augment": "none"}
WITH, WITHOUT = {"backbone.batch_norm": True}, {"backbone.batch_norm": False}
FLIPS_AND_CROPS, PLATEAU = {"augment": "flip_resized_crop"}, {"recipe": "four_stage_vgg"}
ONE_CYCLE = {"recipe": "four_stage_vgg_one_cycle"}
SE_RESNET34, SE_RESNET18, RESNET18 = ({"backbone": name} for name in ("se_resnet34", "se_resnet18", "resnet18"))
NESTEROV, ADADELTA = {"optimizer": "sgd_nesterov"}, {"optimizer": "adadelta"}


class Answer(NamedTuple):
    """word: YES, NO or OPEN; measured: the numbers that it rests on, in words"""

    word: str
    measured: str


NOT_RUN = Answer("not run", "")


@dataclass(frozen=True)
class Claim:
    """says:  a conclusion of a paper, with its rows
    study: the folder of the records that are asked
    here:  what was trained instead of the paper's network, and for how long
    judge: StudyRecord -> Answer
    """

    paper: str
    says: str
    study: str
    here: str
    judge: Callable


def against(study, cell, rate=None):
    """Every other cell of a study minus `cell`: a row each with name, estimate, low and high in points, and intervals that hold together.

    rate: of the jobs that are looked at, None: of all
    """
    jobs = study.jobs
    if rate is not None:
        jobs = jobs[jobs["optimizer.lr"].astype(float) == rate]
    about = study.ledger["study"]
    about = about | {"analysis": (about.get("analysis") or {}) | {"reference": cell}}
    found = study_findings(study.folder, jobs, about).contrasts
    return _in_points(found, "reference")


def _in_points(contrasts, kind):
    """The contrasts of one kind."""
    rows = contrasts[contrasts["kind"] == kind].copy()
    rows[["estimate", "low", "high"]] *= 100
    return rows


def better(cell, than):
    """Is the first run of a cell better than that of another one, image by image on the test part? For studies of one seed."""

    def judge(study):
        both = [_first_run(study, one) for one in (than, cell)]
        if None in both:
            return NOT_RUN
        parts = [part_of(read_predictions(study.folder / name), "test") for name in both]
        labels = parts[0]["label"].to_numpy()
        row = two_runs.judge(labels, *(predicted(probabilities(part)) for part in parts))["accuracy"]
        low, gain, high = (100 * row[key] for key in ("low", "difference", "high"))
        return Answer(YES if low > 0 else NO if high < 0 else OPEN, f"{gain:+.2f} ({low:+.2f} to {high:+.2f})")

    return judge


def _first_run(study, cell):
    """The name of a cell's finished run with the lowest seed; None without one."""
    rows = study.done
    for axis, level in cell.items():
        rows = rows[rows[axis].astype(str) == str(level)]
    return rows.sort_values("seed")["name"].iloc[0] if len(rows) else None


def points(row):
    return f"{row.estimate:+.2f} ({row.low:+.2f} to {row.high:+.2f})"


def first(cell, rate=None):
    """Is this cell the best one by test accuracy?"""
    return lambda study: _at_one_end(against(study, cell, rate), 1)


def last(cell, rate=None):
    """Is this cell the worst one by test accuracy?"""
    return lambda study: _at_one_end(against(study, cell, rate), -1)


def _at_one_end(others, sign):
    """sign: 1 if no other cell is to be above, -1 if none below; others: of `against`"""
    nearest = others.loc[(sign * others["estimate"]).idxmax()]
    above, below = others["low"] > 0, others["high"] < 0
    beyond, within = (above, below) if sign == 1 else (below, above)
    place = f"place {1 + (others['estimate'] > 0).sum()} of {1 + len(others)}; {nearest['name']} minus it {points(nearest)}"
    return Answer(NO if beyond.any() else YES if within.all() else OPEN, place)


def worst(cell):
    """Is every other cell better than this one? As `last`, with all differences."""

    def judge(study):
        others = against(study, cell)
        differences = zip(others["name"], others.itertuples(), strict=True)
        return Answer(_at_one_end(others, -1).word, f"minus it: {'; '.join(f'{name} {points(row)}' for name, row in differences)}")

    return judge


@cache
def gains_of_the_paper():
    """{activation: what batch norm adds to it in S0's table, in points}"""
    rows = OmegaConf.load(CONF / "study" / "beit_head_grid.yaml").study.published
    accuracy = {(row.cell["head.act"], row.cell["head.norm"]): float(row.test_accuracy) for row in rows}
    return {act: accuracy[act, "bn"] - accuracy[act, "none"] for act, norm in accuracy if norm == "bn"}


def gains(study):
    """Does batch norm add to each activation what S0 says it does?"""
    found = _in_points(_statistics(study).contrasts, "gain")
    rows = dict(zip(found["name"].str.rpartition(" ")[2], found.itertuples(), strict=True))
    paper = gains_of_the_paper()
    inside = [row.low <= paper[act] <= row.high for act, row in rows.items()]
    word = YES if all(inside) and (found["low"] > 0).all() else OPEN if any(inside) else NO
    return Answer(word, "; ".join(f"{act} {points(row)}, paper {paper[act]:+.1f}" for act, row in rows.items()))


def _statistics(study):
    return study_findings(study.folder, study.jobs, study.ledger["study"], study.never_begun)


def synergy(study):
    """Does the gain of batch norm depend on the activation?"""
    found = _statistics(study)
    differences = _in_points(found.contrasts, "difference of gains")
    texts = [f"{row.name.rpartition(': ')[2]} {points(row)}" for row in differences.itertuples(index=False)]
    word = {"synergy": YES, "additive": NO}.get(found.verdict.word, OPEN)
    return Answer(word, f"gain of batch norm: {'; '.join(texts)}")


def stabler(study):
    """Does batch norm make the training of every activation more stable? By S (docs/stability.md), smaller is stabler."""
    reference = registered(study.ledger["study"]).reference
    table = stability_table(study.folder, measured_runs(study.jobs, reference)).set_index(["head.act", "head.norm"])
    pairs = {act: (table.loc[(act, "bn")], table.loc[(act, "none")]) for act in table.index.unique(0)}
    word = YES if all(bn["high"] < none["low"] for bn, none in pairs.values()) else OPEN
    word = NO if any(bn["low"] > none["high"] for bn, none in pairs.values()) else word
    texts = [f"{act} {bn['score']:.2f} with, {none['score']:.2f} without" for act, (bn, none) in pairs.items()]
    return Answer(word, f"S, smaller is stabler: {'; '.join(texts)}")


def numbers(cell, metric):
    """Are the numbers that the paper prints of this cell those measured?"""

    def judge(study):
        rows = study.published
        for axis, level in cell.items():
            rows = rows[rows[axis].astype(str).str.lower() == str(level).lower()]
        rows = rows[rows["metric"] == metric]
        verdicts = set(rows["verdict"])
        word = YES if verdicts <= {"inside", "holds"} else NO if verdicts & {"above", "below", "does not hold"} else OPEN
        why = "".join(f"; {verdict}" for verdict in sorted(verdicts) if verdict.startswith("not comparable"))
        return Answer(word, listed(_beside(row) for row in rows.itertuples()) + why)

    return judge


def _beside(row):
    between = f" ({100 * row.low:.1f} to {100 * row.high:.1f})" if row.low == row.low and row.low is not None else ""
    return f"{row.metric.replace('_', ' ')} {100 * row.measured:.1f} %{between}, paper {row.published} %"


FROZEN = "EfficientNet-Lite0, frozen; 20 seeds"
HALF = "compact, half its widths; {} epochs, {} seeds"
SHORT = "compact, half its widths; 60 epochs of a fifth of the images, 3 seeds"
LITE = "EfficientNet-Lite0 at 112 pixels, its recipe; 3 seeds"
SHALLOW = "S3's networks and recipe, 4 epochs; 1 seed"
OWN = "S1's network, 20 epochs; 1 seed"

CLAIMS = [
    Claim("S0", "Norm and activation act together (its title)", "frozen_head_grid", FROZEN, synergy),
    Claim("S0", "The same, if the whole network trains", "compact_head_grid", HALF.format(10, 5), synergy),
    Claim("S0", "Batch norm in the head adds about 3 points to every activation (S0-22 to S0-29)", "frozen_head_grid", FROZEN, gains),
    Claim("S0", "The same, if the whole network trains", "compact_head_grid", HALF.format(10, 5), gains),
    Claim("S0", "It makes the training of each more stable (S0-22 to S0-29)", "frozen_head_grid", FROZEN, stabler),
    Claim("S0", "GELU with batch norm is the best of eight heads (S0-23)", "frozen_head_grid", FROZEN, first(GELU_BN)),
    Claim("S1", "With batch norm: 62 % of validation (S1-18)", "cnn_batchnorm", OWN, numbers(WITH, "val_accuracy after epoch 20")),
    Claim("S1", "With batch norm: 98 % of training (S1-17)", "cnn_batchnorm", OWN, numbers(WITH, "train_accuracy after epoch 20")),
    Claim("S1", "Without: less than 90 % of training (S1-20)", "cnn_batchnorm", OWN, numbers(WITHOUT, "train_accuracy after epoch 20")),
    Claim("S2", "Two phases of EfficientNet-B2: 68.78 % (S2-21 to S2-29)", "efficientnet_two_phase", LITE, numbers({}, "test_accuracy")),
    Claim(
        "S3", "Each augmentation is better than none (S3-20 to S3-24)", "augmentation_ladder", HALF.format(10, 3), worst(NO_AUGMENTATION)
    ),
    Claim("S3", "Flips and crops are the best of five (S3-22)", "augmentation_ladder", HALF.format(10, 3), first(FLIPS_AND_CROPS)),
    Claim("S3", "SE-ResNet34 is better than ResNet18, its second (S3-29, S3-33)", "architectures", SHALLOW, better(SE_RESNET34, RESNET18)),
    Claim("S3", "Squeeze and excitation helps (S3-44), in ResNet18", "architectures", SHALLOW, better(SE_RESNET18, RESNET18)),
    Claim("S4", "Nesterov is the best of 7 optimizers at 0.001 (S4-27)", "compact_optimizers", HALF.format(5, 3), first(NESTEROV, 1e-3)),
    Claim("S4", "It is so at 0.01 (S4-27; with a plateau)", "compact_optimizers", HALF.format(5, 3), first(NESTEROV, 1e-2)),
    Claim("S4", "Adadelta is the last of them at 0.001 (S4-21)", "compact_optimizers", HALF.format(5, 3), last(ADADELTA, 1e-3)),
    Claim("S4", "A plateau is the best of six schedules (S4-29)", "compact_schedules", SHORT, first(PLATEAU)),
    Claim("S4", "One cycle is the last of them (S4-34)", "compact_schedules", SHORT, last(ONE_CYCLE)),
]

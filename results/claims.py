"""What the papers conclude, and which records answer it. judges.py has the ways to answer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from judges import (
    adds,
    all_beat,
    base_beats,
    better,
    depends,
    first,
    gains,
    gains_most,
    last,
    numbers,
    parted,
    recalled,
    stabler,
    worst,
)
from records import kept, measured, studies_of_the_papers


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


@cache
def gains_of_the_paper():
    """{activation: what batch norm adds to it in S0's table, in points}"""
    rows = studies_of_the_papers()["beit_head_grid"].study.published
    accuracy = {(row.cell["head.act"], row.cell["head.norm"]): float(row.test_accuracy) for row in rows}
    return {act: accuracy[act, "bn"] - accuracy[act, "none"] for act, norm in accuracy if norm == "bn"}


def constant_from_a_hundredth():
    name = "compact_schedules_constant"
    return (measured(name)[0], {}) if kept([name]) else None


GELU_BN, NO_AUGMENTATION = {"head.act": "gelu", "head.norm": "bn"}, {"augment": "none"}
WITH, WITHOUT = {"backbone.batch_norm": True}, {"backbone.batch_norm": False}
FLIPS, FLIPS_AND_CROPS = {"augment": "flip"}, {"augment": "flip_resized_crop"}
PLATEAU, STEPS, ONE_CYCLE, CONSTANT = ({"recipe": f"four_stage_vgg{schedule}"} for schedule in ("", "_step", "_one_cycle", "_constant"))
VGG11, RESNET18, SE_RESNET18, SE_RESNET34 = ({"backbone": name} for name in ("vgg11", "resnet18", "se_resnet18", "se_resnet34"))
NESTEROV, ADADELTA = {"optimizer": "sgd_nesterov"}, {"optimizer": "adadelta"}
SGDS = {name: {"optimizer": name} for name in ("sgd", "sgd_nesterov", "asgd")}
SMOOTHED, UNSMOOTHED, ADAM = (
    {"loss.label_smoothing": smoothing, "optimizer": optimizer}
    for smoothing, optimizer in (("0.06", "adamw"), ("0.0", "adamw"), ("0.06", "adam"))
)

FROZEN = "EfficientNet-Lite0, frozen; 20 seeds"
HALF = "compact, half its widths; {} epochs, {} seeds"
SHORT = "compact, half its widths; 60 epochs, each of another fifth of the images, 3 seeds"
LITE = "EfficientNet-Lite0 at 112 pixels, its recipe; {}"
SHALLOW = "S3's networks and recipe, 4 epochs; 1 seed"
OWN = "S1's network, 20 epochs; 1 seed"

CLAIMS = [
    Claim("S0", "The gain of batch norm depends on the activation (its title)", "frozen_head_grid", FROZEN, depends(gains_of_the_paper)),
    Claim(
        *("S0", "The gain of batch norm depends on the activation, if the whole network trains", "compact_head_grid", HALF.format(10, 5)),
        depends(gains_of_the_paper),
    ),
    Claim("S0", "Batch norm adds most to GELU (S0-30)", "frozen_head_grid", FROZEN, gains_most("gelu")),
    Claim("S0", "Batch norm in the head adds about 3 points (S0-30)", "frozen_head_grid", FROZEN, gains(gains_of_the_paper)),
    Claim(
        *("S0", "Batch norm in the head adds about 3 points, on images without a twin", "frozen_head_grid", FROZEN),
        gains(gains_of_the_paper, "gain on clean images"),
    ),
    Claim(
        *("S0", "Batch norm in the head adds about 3 points, if the whole network trains", "compact_head_grid", HALF.format(10, 5)),
        gains(gains_of_the_paper),
    ),
    Claim("S0", "It makes the training of each more stable (S0-22 to S0-29)", "frozen_head_grid", FROZEN, stabler),
    Claim("S0", "GELU with batch norm is the best of eight heads (S0-23)", "frozen_head_grid", FROZEN, first(GELU_BN)),
    Claim(
        *("S0", "Batch norm parts surprise from fear and neutral from sad better (S0-40)", "frozen_head_grid", FROZEN),
        parted(("surprise", "fear"), ("neutral", "sad")),
    ),
    Claim("S1", "Batch norm is better (S1-32)", "cnn_batchnorm", OWN, better(WITH, WITHOUT, part="val")),
    Claim("S1", "With batch norm: 62 % of validation (S1-18)", "cnn_batchnorm", OWN, numbers(WITH, "val_accuracy after epoch 20")),
    Claim("S1", "With batch norm: 98 % of training (S1-17)", "cnn_batchnorm", OWN, numbers(WITH, "train_accuracy after epoch 20")),
    Claim("S1", "Without: less than 90 % of training (S1-20)", "cnn_batchnorm", OWN, numbers(WITHOUT, "train_accuracy after epoch 20")),
    Claim(
        *("S2", "Two phases of EfficientNet-B2: 68.78 % (S2-21)", "efficientnet_two_phase", LITE.format("3 seeds")),
        numbers({}, "test_accuracy"),
    ),
    Claim(
        *("S2", "Happy is recalled best, fear worst (S2-24, S2-25)", "efficientnet_two_phase", LITE.format("3 seeds")),
        recalled("happy", "fear"),
    ),
    Claim(
        *("S2", "Label smoothing of 0.06 helps (chosen, not tested: S2-36)", "efficientnet_ablations", LITE.format("1 seed")),
        better(SMOOTHED, UNSMOOTHED),
    ),
    Claim(
        *("S2", "AdamW is better than Adam (chosen, not tested: S2-37)", "efficientnet_ablations", LITE.format("1 seed")),
        better(SMOOTHED, ADAM),
    ),
    Claim(
        *("S3", "Each augmentation is better than none (S3-20 to S3-24)", "augmentation_ladder", HALF.format(10, 3)), worst(NO_AUGMENTATION)
    ),
    Claim(
        *("S3", "Crops add about 6 points to flips (S3-22)", "augmentation_ladder", HALF.format(10, 3)), adds(FLIPS_AND_CROPS, FLIPS, 6.13)
    ),
    Claim("S3", "Flips and crops are the best of five (S3-22)", "augmentation_ladder", HALF.format(10, 3), first(FLIPS_AND_CROPS)),
    Claim(
        "S3", "ResNets are better than VGGs (S3-42), ResNet18 than VGG11", "architectures", SHALLOW, better(RESNET18, VGG11, paper="+1.56")
    ),
    Claim(
        *("S3", "Going deeper does not harm (S3-43), from SE-ResNet18 to 34", "architectures", SHALLOW),
        better(SE_RESNET34, SE_RESNET18, paper="+0.72"),
    ),
    Claim(
        *("S3", "SE-ResNet34 is better than ResNet18, its second (S3-29, S3-33)", "architectures", SHALLOW),
        better(SE_RESNET34, RESNET18, paper="+0.70"),
    ),
    Claim(
        *("S3", "Squeeze and excitation helps (S3-44), in ResNet18", "architectures", SHALLOW),
        better(SE_RESNET18, RESNET18, paper="-0.02"),
    ),
    Claim("S4", "Nesterov is the best of 7 optimizers at 0.001 (S4-27)", "compact_optimizers", HALF.format(5, 3), first(NESTEROV, 1e-3)),
    Claim(
        *("S4", "It is so at 0.01 (S4-27, with a plateau; here 0.01 is constant)", "compact_optimizers", HALF.format(5, 3)),
        first(NESTEROV, 1e-2),
    ),
    Claim(
        *("S4", "All kinds of SGD beat all others, at 0.001 (S4-50)", "compact_optimizers", HALF.format(5, 3)),
        all_beat(SGDS, ("adadelta", "adagrad", "adam", "amsgrad"), 1e-3),
    ),
    Claim("S4", "Adadelta is the last of them at 0.001 (S4-21)", "compact_optimizers", HALF.format(5, 3), last(ADADELTA, 1e-3)),
    Claim("S4", "A plateau is the best of six schedules (S4-29)", "compact_schedules", SHORT, first(PLATEAU)),
    Claim("S4", "One cycle is the last of them (S4-34)", "compact_schedules", SHORT, last(ONE_CYCLE)),
    Claim(
        *("S4", "A constant 0.001 is better than steps and one cycle from 0.01 (S4-52)", "compact_schedules", SHORT),
        base_beats(lambda study: (study, CONSTANT), {"steps": STEPS, "one cycle": ONE_CYCLE}),
    ),
    Claim(
        *("S4", "It is so if the constant rate is 0.01 too", "compact_schedules", SHORT),
        base_beats(lambda _: constant_from_a_hundredth(), {"steps": STEPS, "one cycle": ONE_CYCLE}),
    ),
]

"""What the stability monitor costs: epochs of the same training with it and without, in turn.

    python benchmarks/stability_monitor.py [--images 28709] [--rounds 3]

Each round is an epoch without and an epoch with the monitor, from the start of one epoch to the start of the next, validation, record
and checkpoints included; the ratio of a round is with / without (1 = free). One epoch of each kind goes before, to warm up.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from drawn import checkpointing, machine, training
from lightning.pytorch.callbacks import Callback

from fer_lightning.model.precision import pick_precision
from fer_lightning.training.build import build_monitor, build_trainer
from fer_lightning.training.epoch_record import EpochRecord
from fer_lightning.training.quieten import quieten


class Turns(Callback):
    """Takes the monitor out of the trainer in even epochs and puts it in in odd ones; keeps the seconds of each epoch."""

    def __init__(self, monitor):
        self.monitor = monitor
        self.starts = []

    def on_train_epoch_start(self, trainer, module):
        self._look_at_the_clock(module)
        others = [callback for callback in trainer.callbacks if callback is not self.monitor]
        trainer.callbacks = others if trainer.current_epoch % 2 == 0 else [self.monitor, *others]

    def on_train_end(self, trainer, module):
        self._look_at_the_clock(module)

    def _look_at_the_clock(self, module):
        if module.device.type == "cuda":
            torch.cuda.synchronize()
        self.starts.append(time.perf_counter())

    @property
    def seconds(self):
        return [end - start for start, end in zip(self.starts, self.starts[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=28709, help="in an epoch; the probe's share is the larger, the fewer they are")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="config overrides, such as backbone=resnet18")
    arguments = parser.parse_args()
    quieten()
    epochs = 2 * (arguments.rounds + 1)
    cfg, data, module = training(epochs, arguments.images, 3589, arguments.overrides)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        monitor = build_monitor(cfg, data, folder)
        turns = Turns(monitor)
        callbacks = [turns, monitor, EpochRecord(folder), *checkpointing(cfg, folder)]
        precision = pick_precision(cfg.precision, module.backbone, [module.phase])
        build_trainer(cfg, precision, callbacks=callbacks, max_epochs=epochs).fit(module, data)
    rounds = list(zip(turns.seconds[2::2], turns.seconds[3::2]))
    print(machine())
    print(f"{arguments.images} images an epoch, {cfg.stability.probe} in the probe")
    for without, with_it in rounds:
        print(f"without {without:7.2f} s   with {with_it:7.2f} s   ratio {with_it / without:.3f}")
    print(f"ratio with / without, median of {len(rounds)}: {statistics.median(b / a for a, b in rounds):.3f}")


if __name__ == "__main__":
    main()

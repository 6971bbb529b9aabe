"""The training loop of the compact net against a bare PyTorch loop: same net, batch, precision, augmentation, averaging, threads.

    python benchmarks/training_loop.py [--images 12800] [--batch 128] [--rounds 3] [overrides]

Each round runs one epoch of the bare loop, then one of the framework with its default callbacks and loggers, in one process; the
ratio of a round is framework / bare images per second (1 = as fast). The bare loop has no validation, no record, no checkpoints;
of the framework the time between the start of an epoch and its validation counts. Both run on the GPU where there is one, the bare
loop with all pictures on it. With compile=true the nets of both are compiled.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from drawn import checkpointing, machine, optimizer_of, training
from hydra.utils import instantiate
from torch.optim.swa_utils import AveragedModel

from fer_lightning.model.compiling import compile_nets
from fer_lightning.model.precision import pick_precision
from fer_lightning.training.build import build_module, build_monitor, build_phases, build_trainer, warming_average
from fer_lightning.training.epoch_record import EpochRecord
from fer_lightning.training.quieten import quieten
from fer_lightning.transforms.augment import Augment
from fer_lightning.transforms.prepare import prepare


class Bare:
    """What a good engineer writes without a framework: tensors, a permutation, autocast, step."""

    def __init__(self, cfg, data, steps):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        whole = build_module(cfg, data.class_counts).to(self.device)
        if cfg.compile:
            compile_nets(whole)
        self.net = torch.nn.Sequential(whole.backbone, whole.head)
        self.average = AveragedModel(self.net, multi_avg_fn=warming_average(cfg.ema_decay), use_buffers=True)
        self.optimizer, self.scheduler = optimizer_of(self.net.parameters(), steps)
        self.augment = Augment(0.5, 4)
        self.batch = cfg.batch_size
        self.spec = whole.backbone.input_spec
        self.channels_last = cfg.channels_last
        self.low = pick_precision(cfg.precision, whole.backbone, build_phases(cfg)) == "bf16-mixed"
        train = torch.from_numpy(data.split.train)
        self.pixels, self.labels = data.pixels[train].to(self.device), data.labels[train].to(self.device)

    def epoch(self):
        self.net.train()
        start = time.perf_counter()
        for index in torch.randperm(len(self.pixels), device=self.device).split(self.batch):
            pixels, labels = self.augment(self.pixels[index], self.labels[index])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low):
                logits = self.net(prepare(pixels, self.spec, self.channels_last))
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=0.1)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            self.average.update_parameters(self.net)
        wait()
        return len(self.pixels) / (time.perf_counter() - start)


def wait():
    """Until the GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Alternating(EpochRecord):
    """Runs an epoch of the bare loop before each epoch of the framework, and keeps both rates."""

    def __init__(self, folder, bare):
        super().__init__(folder)
        self.bare = bare
        self.rates = []

    def on_train_epoch_start(self, trainer, module):
        self.bare_rate = self.bare.epoch()
        super().on_train_epoch_start(trainer, module)

    def on_validation_start(self, trainer, module):
        wait()
        super().on_validation_start(trainer, module)

    def on_train_epoch_end(self, trainer, module):
        super().on_train_epoch_end(trainer, module)
        self.rates.append((self._images / self._epoch_seconds, self.bare_rate))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12800)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="config overrides, such as logger=csv")
    arguments = parser.parse_args()
    quieten()
    rounds = arguments.rounds + 1  # the first warms up
    cfg, data, module = training(rounds, arguments.images, 512, [f"batch_size={arguments.batch}", *arguments.overrides])
    if cfg.compile:
        compile_nets(module)
    bare = Bare(cfg, data, rounds * len(data.train_dataloader()))
    with tempfile.TemporaryDirectory() as folder:
        loggers = [instantiate(node, folder=folder, name="benchmark", labels={"study": "benchmark"}) for node in cfg.logger.values()]
        folder = Path(folder)
        record = Alternating(folder, bare)
        callbacks = [record, build_monitor(cfg, data, folder), *checkpointing(cfg, folder)]
        precision = pick_precision(cfg.precision, module.backbone, [module.phase])
        trainer = build_trainer(cfg, precision, loggers=loggers, callbacks=callbacks, max_epochs=rounds)
        module.to(trainer.strategy.root_device)  # as train.fit does
        trainer.fit(module, data)
    rates = record.rates[1:]
    ratios = [ours / theirs for ours, theirs in rates]
    print(machine())
    for ours, theirs in rates:
        print(f"bare {theirs:7.0f} images/s   framework {ours:7.0f} images/s   ratio {ours / theirs:.3f}")
    print(f"ratio framework / bare, median of {len(ratios)}: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()

"""Does the input path keep up? Pictures a second from the index of a batch to what a backbone takes, augmented.

    python benchmarks/input_path.py [--batch 128] [--batches 20] [--rounds 3] [--pictures 600] [--recipes NAME ...]

target   flip, shift and crop at 48 x 48
augment  each option of conf/augment; share: seconds of the input path by seconds of a training step of the compact net, the fastest
         backbone there is, on as many pictures (below 1: the net is what one waits for)
recipe   the same of each option of conf/recipe, with its own augmentation, backbone and picture size; a step is measured on few pictures
loader   for comparison: a DataLoader over one picture at a time with the transforms of torchvision that four_stage_vgg stands for, ten
         crops of each, as usef-kh/fer has it, without worker processes and with two

Pictures are source pictures, whatever the number of crops made of each. Each figure is the median of the rounds.
"""

import argparse
import statistics
import time

import torch
from drawn import machine, training
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from fer_lightning.config.groups import CONF
from fer_lightning.model.precision import pick_precision
from fer_lightning.sweep.planning import probe
from fer_lightning.training.quieten import quieten
from fer_lightning.training.timing import timed_steps
from fer_lightning.transforms.augment import Augment
from fer_lightning.transforms.prepare import InputSpec, prepare

TARGET = 20_000
CROP = 44


def input_rate(data, augment, spec, batches, rounds):
    """Pictures a second of batches of the training part, the median of the rounds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pictures = data.train_dataloader().dataset
    index = torch.randint(len(pictures), (batches, data.batch_size)).tolist()

    def run(some):
        start = time.perf_counter()
        for positions in some:
            pixels, labels, _ = pictures.__getitems__(positions)
            prepare(augment(pixels.to(device), labels.to(device))[0], spec, channels_last=True)
        if device == "cuda":
            torch.cuda.synchronize()
        return len(some) * data.batch_size / (time.perf_counter() - start)

    run(index[:2])
    return statistics.median(run(index) for _ in range(rounds))


def crops(augment):
    """Pictures that a net sees of each one."""
    return len(augment(torch.zeros(2, 1, 48, 48, dtype=torch.uint8), torch.zeros(2, dtype=torch.long))[0]) // 2


def options(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def step_rate(cfg):
    """Inputs a second of the training steps of a config, from the plan's probe."""
    _, costs = probe(cfg)
    return sum(cost.epochs for cost in costs) / sum(cost.epochs * (cost.step + cost.features) for cost in costs)


def compact_rate(batch, batches):
    """Pictures a second of the compact net's forward, backward and optimizer step."""
    cfg, data, module = training(1, batch, 7, [f"batch_size={batch}"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device)
    optimizer = module.phase.optimizer(module.parameters())
    inputs = prepare(data.pixels[:batch].to(device), module.backbone.input_spec, module.channels_last)
    labels = data.labels[:batch].to(device)
    low = pick_precision(cfg.precision, module.backbone, [module.phase]) == "bf16-mixed"
    times = timed_steps(module, optimizer, inputs, labels, steps=batches + 1, low_precision=low)
    return batch / statistics.median(times[1:])


class OneByOne(Dataset):
    """A picture at a time through torchvision, ten crops of 40 x 40 of each."""

    def __init__(self, pixels, labels):
        self.pixels, self.labels = pixels, labels
        self.transform = v2.Compose(
            [
                v2.ToPILImage(),
                v2.RandomResizedCrop(48, scale=(0.8, 1.2)),
                v2.RandomApply([v2.RandomAffine(0, translate=(0.2, 0.2))], p=0.5),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.RandomRotation(10)], p=0.5),
                v2.TenCrop(40),
            ]
        )
        self.normalise = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.RandomErasing(p=0.5)])

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, position):
        return torch.stack([self.normalise(crop) for crop in self.transform(self.pixels[position])]), self.labels[position]


def loader_rate(data, pictures, workers):
    """Pictures a second of an epoch, start of the worker processes included."""
    dataset = OneByOne(data.pixels[:pictures], data.labels[:pictures])
    start = time.perf_counter()
    for _ in DataLoader(dataset, batch_size=64, shuffle=True, num_workers=workers):
        pass
    return len(dataset) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=600, help="that the DataLoader takes")
    parser.add_argument("--recipes", nargs="*", default=options("recipe"))
    arguments = parser.parse_args()
    quieten()
    print(machine())
    torch.manual_seed(0)
    _, data, _ = training(1, max(arguments.pictures, 2 * arguments.batch), 7, [f"batch_size={arguments.batch}"])
    amount = (arguments.batches, arguments.rounds)

    rate = input_rate(data, Augment(flip=0.5, shift=4, crop_size=CROP), InputSpec(CROP), *amount)
    print(f"target   flip, shift and crop: {rate:,.0f} images/s, {rate / TARGET:.2f} of {TARGET:,}")

    net = compact_rate(arguments.batch, arguments.batches)
    rates = {}
    print(f"augment  the compact net trains on {net:,.0f} images/s")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name in options("augment"):
            augment = instantiate(compose("config", [f"augment={name}"]).augment)
            many = crops(augment)
            rates[name] = input_rate(data, augment, InputSpec(augment.crop_size or 48), *amount)
            print(f"  {name:32} {rates[name]:9,.0f} images/s, {many:2} of each   share {net / many / rates[name]:.3f}", flush=True)
        for name in arguments.recipes:
            cfg = compose("config", [f"recipe={name}", "pretrained=false"])
            augment, spec = instantiate(cfg.augment), instantiate({k: v for k, v in cfg.backbone.items() if k != "freeze"}).input_spec
            ours = input_rate(data, augment, spec, max(1, arguments.batches // 10), arguments.rounds)
            theirs = step_rate(cfg) / crops(augment)
            print(f"recipe   {name:32} {ours:9,.0f} images/s, net {theirs:9,.1f} images/s   share {theirs / ours:.3f}", flush=True)

    ours = rates["four_stage_vgg"]
    for workers in (0, 2):
        theirs = statistics.median(loader_rate(data, arguments.pictures, workers) for _ in range(arguments.rounds))
        print(f"loader   {workers} workers: {theirs:,.0f} images/s; four_stage_vgg takes {ours:,.0f}, {ours / theirs:.1f} times as many")


if __name__ == "__main__":
    main()

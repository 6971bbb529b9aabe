"""The Lightning callback that measures how stable a training is, without changing it."""

import math
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from torch.nn.utils import get_total_norm

from fer_lightning.model.metrics import answers
from fer_lightning.runs.steps import write_steps
from fer_lightning.stability.measures import GUESSING, gradient_volatility, run_stability, spike_rate
from fer_lightning.stability.sharpness import edge_ratio, predictiveness
from fer_lightning.stability.spikes import counted_steps, find_spikes, full_steps
from fer_lightning.stability.units import inactive_units

SHARPNESS = {"eos": edge_ratio, "pred": predictiveness}

# A loss that is NaN or infinite is noticed within so many steps: reading a loss makes a GPU wait.
CHECK_EVERY = 64


class StabilityMonitor(Callback):
    """Records loss, unclipped gradient norm and rate of each step, measures a probe after each epoch, and sums the run up.

    folder:          the run folder, for steps.parquet
    pixels, targets, rows: of the probe: training images (N, 1, 48, 48) uint8, never augmented, their training targets and their rows
    batch_size:      how many of them are passed at a time
    sharpness_every: measure `eos` and `pred` after every so many epochs; None: never
    guess:           (loss, accuracy in %) of guessing, see `fer_lightning.stability.measures.guessing`

    One object monitors a run through all its phases. Logged each epoch as stability/*: spk and gnv of the run so far; dead, dormant, gap
    (percentage points) and the median grad_norm of this epoch; eos and pred if they are measured, NaN in the epochs between. A training
    is bit for bit the same with the monitor and without: the probe is passed in eval mode and draws no random number.

    Which weights: steps and units (dead, dormant, eos, pred) are those of the network that trains, which is in place when the epoch ends.
    The training accuracy is measured on the probe at the start of validation, hence with the validated weights, which are averages if
    ema_decay is set; so `gap` compares one network with itself. It is the accuracy on the probe, not on the whole training part.

    A frozen backbone is not monitored: the probe passes through the head alone, on features that are computed once per phase.

    A loss that is NaN or infinite ends the training within `CHECK_EVERY` steps; `diverged` is then true. This is a result, not a failure.
    """

    def __init__(self, folder, pixels, targets, rows, *, batch_size, sharpness_every=None, guess=GUESSING):
        self.folder = folder
        self.pixels = pixels
        self.rows = rows
        self.targets = targets
        self.batch_size = batch_size
        self.sharpness_every = sharpness_every
        self.guess = guess
        self.steps = pd.DataFrame()
        self.epochs = []
        self._phase = -1
        self._losses, self._norms, self._lrs, self._parts, self._images = [], [], [], [], []
        self._seen = 0
        self._validated = {}
        self.diverged = False

    def state_dict(self):
        """The steps and epochs of the run so far, and what the end of the current epoch will need."""
        return {
            "phase": self._phase,
            "steps": {name: torch.tensor(column.to_numpy()) for name, column in self.steps.items()},
            "epochs": self.epochs,
            "under_way": {name: getattr(self, name) for name in ("_losses", "_norms", "_lrs", "_parts", "_images", "_seen")},
            "diverged": self.diverged,
            "clip_at": self._clip_at,
        }

    def load_state_dict(self, state):
        self._phase = state["phase"] - 1  # on_train_start counts it
        self.steps = pd.DataFrame({name: column.numpy() for name, column in state["steps"].items()})
        self.epochs = state["epochs"]
        for name, values in state["under_way"].items():
            setattr(self, name, values)
        self.diverged = state["diverged"]
        self._clip_at = state["clip_at"]

    def on_train_start(self, trainer, module):
        self._phase += 1
        self._clip_at = trainer.gradient_clip_val if trainer.gradient_clip_algorithm != "value" else None
        self._inputs, self._targets = self.pixels.to(module.device), self.targets.to(module.device)
        self._head_only = not any(p.requires_grad for p in module.backbone.parameters())
        if self._head_only:
            self._inputs = self._features(trainer, module)

    def on_before_optimizer_step(self, trainer, module, optimizer):
        # Unscaled and not yet clipped. Tensors stay on the device until the epoch ends: reading one makes the device wait.
        # Only the optimizer's parameters: those that a later phase froze may hold an old gradient.
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self._norms.append(get_total_norm(gradients).float())
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]
        self._lrs.append(self._rates[0])

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._parts.append(outputs["loss"])
        self._seen += len(batch[2])  # images, not the crops that augmentation may make of each
        if len(self._norms) > len(self._losses):  # a step was taken; with accumulated gradients, after several batches
            # Lightning divides the loss of each batch by the number of batches in a step.
            self._losses.append(torch.stack(self._parts).mean().float() * trainer.accumulate_grad_batches)
            self._images.append(self._seen)
            self._parts.clear()
            self._seen = 0
            if len(self._losses) % CHECK_EVERY == 0:
                self._stop_unless_finite(trainer, torch.stack(self._losses[-CHECK_EVERY:]).isfinite().all().item())

    def _stop_unless_finite(self, trainer, finite):
        if not finite:
            self.diverged = trainer.should_stop = True

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        if batch_idx == 0:
            with trainer.precision_plugin.forward_context():
                logits = torch.cat([self._forward(module, inputs) for inputs in self._inputs.split(self.batch_size)])
            hits = answers(logits) == (self._targets if self._targets.ndim == 1 else self._targets.argmax(1))
            self._validated = {"train_accuracy": 100 * hits.float().mean().item()}

    def on_validation_end(self, trainer, module):
        scores = trainer.callback_metrics
        self._validated |= {"val_loss": scores["val/loss"].item(), "val_accuracy": 100 * scores["val/accuracy"].item()}

    def on_train_epoch_end(self, trainer, module):
        new = self._gather(trainer)
        self._stop_unless_finite(trainer, np.isfinite(new["loss"]).all())
        epoch = dict.fromkeys(("val_loss", "val_accuracy", "train_accuracy"), math.nan) | self._validated
        self._validated = {}
        with _measuring(trainer, module):
            net = module.head if self._head_only else module
            batches = self._inputs.split(self.batch_size)
            epoch["dead"], epoch["dormant"] = inactive_units(lambda inputs: self._forward(module, inputs), net, batches)
        if self.sharpness_every:
            epoch |= self._sharpness(trainer, module)
        self.epochs.append(epoch)
        write_steps(self.folder, self.steps)

        count = counted_steps(*(self.steps[name].to_numpy() for name in ("phase", "lr", "full")))
        so_far = {
            "spk": spike_rate(self.steps["spike"].to_numpy()[count]),
            "gnv": gradient_volatility(self.steps["residual"].to_numpy()[count]),
            "dead": epoch["dead"],
            "dormant": epoch["dormant"],
            "gap": epoch["train_accuracy"] - epoch["val_accuracy"],
            "grad_norm": float(new["grad_norm"].median()),
        }
        so_far |= {name: epoch[name] for name in SHARPNESS if name in epoch}
        # NaN for what is not known yet: metrics.csv has the columns of its first row.
        module.log_dict({f"stability/{name}": math.nan if value is None else value for name, value in so_far.items()})

    def summary(self):
        """All measures of the run so far and their label; see `fer_lightning.stability.measures.run_stability`."""
        return run_stability(self.steps, pd.DataFrame(self.epochs), self._clip_at, self.guess)

    def _gather(self, trainer):
        """The steps of this epoch with their spikes and residuals, as a frame; they are added to the steps of the run."""
        loss, norm = torch.stack([torch.stack(self._losses), torch.stack(self._norms)]).cpu().numpy()
        seen = {"phase": self._phase, "epoch": trainer.current_epoch, "images": self._images}
        new = pd.DataFrame(seen | {"loss": loss, "grad_norm": norm, "lr": self._lrs})
        if getattr(trainer.precision_plugin, "scaler", None):
            # Half precision: if the scaled gradient overflows, no step is taken and the scale is halved.
            new = new[new["grad_norm"] < math.inf].copy()
        self._losses, self._norms, self._lrs, self._images = [], [], [], []
        before = self.steps[self.steps["phase"] == self._phase] if len(self.steps) else self.steps
        phase = pd.concat([before, new])
        full = full_steps(phase["images"])
        new["full"] = full[len(before) :]
        new["spike"], new["residual"] = find_spikes(phase["loss"], phase["grad_norm"], full, since=len(before))
        self.steps = pd.concat([self.steps, new], ignore_index=True)
        return new

    def _sharpness(self, trainer, module):
        """eos and pred of this epoch; NaN if they are not due. In full precision: second derivatives are small differences."""
        if (trainer.current_epoch + 1) % self.sharpness_every:
            return dict.fromkeys(SHARPNESS, math.nan)

        def losses():
            probe = self._inputs.float() if self._head_only else self._inputs  # features may be bfloat16
            for inputs, targets in zip(probe.split(self.batch_size), self._targets.split(self.batch_size)):
                yield module.loss(self._forward(module, inputs).float(), targets) * len(inputs) / len(self._inputs)

        with _evaluating(module):
            return {name: measure(losses, trainer.optimizers[0], self._rates) for name, measure in SHARPNESS.items()}

    def _features(self, trainer, module):
        """Features (N, num_features) of the probe behind a frozen backbone, from its cache if it has one."""
        batches = zip(self._inputs.split(self.batch_size), self.rows.to(module.device).split(self.batch_size))
        with torch.no_grad(), _measuring(trainer, module):
            if module.frozen:
                return torch.cat([module.frozen.evaluation(*batch, module.views) for batch in batches])
            return torch.cat([module.features(pixels) for pixels, _ in batches])

    def _forward(self, module, inputs):
        """Logits (B, 7) of a batch of the probe: of images or, behind a frozen backbone, of features."""
        return module.head(inputs) if self._head_only else module.logits(inputs)


@contextmanager
def _evaluating(module):
    """Every submodule in eval mode and uncompiled in here; after it, in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        # Compiled nets call no hooks, which measure the units, and have no second derivatives.
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _measuring(trainer, module):
    """Eval mode, in the precision of training."""
    with _evaluating(module), trainer.precision_plugin.forward_context():
        yield

"""What a finished run computes from images: probabilities, features, saliency maps."""

import numpy as np
import torch

from fer_lightning.config.targets import build
from fer_lightning.model.metrics import answers
from fer_lightning.training.restore import restore_module


def probabilities(folder, pixels):
    """The class probabilities (N, C) that a run gives images (N, 1, S, S) uint8, averaged over the views of its `evaluation`.

    UserError if the folder holds no finished run.
    """
    return answering(folder)(pixels)


def answering(folder):
    """`probabilities` of a run, restored once: a function of images alone."""
    cfg, module = restore_module(folder)
    module.views = build(cfg.evaluation, "evaluation")

    @torch.inference_mode()
    def probabilities(pixels):
        batches = torch.from_numpy(pixels).split(max(1, cfg.eval_batch_size // module.views.count))
        return torch.cat([module.logits(batch).softmax(1) for batch in batches]).numpy()

    return probabilities


@torch.inference_mode()
def features(module, data, index):
    """The backbone's features (N, num_features) float32 of the images `index` (N,), from the view that predictions.parquet is of."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device)
    batches = torch.as_tensor(index).split(data.eval_batch_size)
    return np.concatenate([module.features(data.pixels[rows].to(device)).float().cpu().numpy() for rows in batches])


def saliency(module, pixels):
    """(maps (N, H, W) in [0, 1], `answers` (N,)) of images (N, 1, H, W) uint8, from the view that predictions.parquet is of.

    A map is the absolute gradient of the largest logit with respect to each grey value, scaled from its minimum to its maximum (S4-44).
    """
    pixels = pixels.float().requires_grad_()
    logits = module.eval().logits(pixels)
    # In eval mode the images of a batch are independent, so the gradient of the sum holds that of each image.
    (gradient,) = torch.autograd.grad(logits.max(1).values.sum(), pixels)
    return scaled(gradient.abs().squeeze(1)), answers(logits)


def scaled(maps):
    """Maps (N, H, W), each from its minimum to its maximum, in [0, 1]; one that is the same everywhere is 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12)

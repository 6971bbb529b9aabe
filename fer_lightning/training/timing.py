"""The time of a pass over the test part (S3-39) and of a training step; it says little without the machine it was measured on."""

import statistics
import time

import torch

# What autocast computes in.
LOW = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@torch.inference_mode()
def timed_pass(module, data, passes, precision):
    """Time passes over the whole test part, from uint8 images in memory to logits, after one batch of warm-up.

    passes: how many; precision: of the run, in Lightning's terms
    Returns {test_pass_ms: median in milliseconds, ms_per_picture, device, batch, passes, warm_up_batches, low_precision}.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    batches = [pixels for pixels, _, _ in data.test_dataloader()]

    def run(some):
        with torch.autocast(device.type, LOW.get(precision), enabled=precision in LOW):
            for pixels in some:
                module.logits(pixels.to(device))
        if device.type == "cuda":
            torch.cuda.synchronize()

    run(batches[:1])
    times = []
    for _ in range(passes):
        start = time.perf_counter()
        run(batches)
        times.append(1000 * (time.perf_counter() - start))
    median = statistics.median(times)
    return {
        "test_pass_ms": round(median, 3),
        "ms_per_picture": round(median / sum(map(len, batches)), 5),
        "device": device.type,
        "batch": data.eval_batch_size,
        "passes": passes,
        "warm_up_batches": 1,
        "low_precision": precision in LOW,
    }


def timed_steps(module, optimizer, inputs, labels, *, steps, low_precision):
    """The seconds of each of so many training steps on one prepared batch, on its device.

    low_precision: whether autocast computes in bfloat16
    """
    device, times = inputs.device, []
    for _ in range(steps):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=low_precision):
            logits = module(inputs)
        module.loss(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return times


@torch.no_grad()
def timed_features(module, inputs, *, low_precision):
    """(features (B, num_features) of a frozen backbone, the seconds of the faster of two passes) of one prepared batch, on its device."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=low_precision):
            features = module.backbone(inputs)
        if inputs.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return features.float(), min(times)

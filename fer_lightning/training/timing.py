"""How long a model takes for the test part (S3-39) or a training step: figures that mean something only with what they were taken on."""

import statistics
import time

import torch

from fer_lightning.transforms.prepare import prepare


@torch.inference_mode()
def timed_pass(module, data, passes, low_precision):
    """Time whole passes over the test part, from uint8 pictures in memory to logits, after one batch of warm-up.

    passes: how many; low_precision: compute in bfloat16 where autocast does
    Returns {test_pass_ms: median in milliseconds, ms_per_picture, device, batch, passes, warm_up_batches, low_precision}.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    batches = [pixels for pixels, _, _ in data.test_dataloader()]

    def run(some):
        with torch.autocast(device.type, torch.bfloat16, enabled=low_precision):
            for pixels in some:
                pixels = module.views.expand(pixels.to(device))
                module.views.merge(module(prepare(pixels, module.backbone.input_spec, module.channels_last)))
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
        "low_precision": low_precision,
    }


def timed_steps(module, optimizer, inputs, labels, steps, low_precision):
    """Seconds of each of so many training steps on one prepared batch, on the device where it is. low_precision: as for `timed_pass`."""
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

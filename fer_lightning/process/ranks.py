"""How several processes that train one job share a batch.

Each process has the whole batch, augments all of it, and computes the logits of its share; `gather` then gives every process all logits. So
loss, scores and predictions equal those of one process, whatever the loss and however the batch is divided, and every image counts once.
"""

import torch.distributed as dist


def count():
    return dist.get_world_size() if dist.is_initialized() else 1


def rank():
    return dist.get_rank() if dist.is_initialized() else 0


def wait():
    """Wait until all processes are here."""
    if count() > 1:
        dist.barrier()


def share(batch, images):
    """This process's part of (V B, ...): V views of each of B images, all first views, then all second ones."""
    if count() == 1:
        return batch
    return batch.unflatten(0, (-1, images))[:, _span(images)].flatten(0, 1)


def gather(part, images):
    """All logits (V B, C), of which each process has computed its share; V views of each of B images.

    A gradient flows through the own share, times the number of processes: DDP takes the mean of what is a sum here.
    """
    if count() == 1:
        return part
    span = _span(images)
    own = part.unflatten(0, (-1, span.stop - span.start))
    logits = own.new_zeros(len(own), images, *own.shape[2:])
    logits[:, span] = own.detach()
    dist.all_reduce(logits)
    if own.requires_grad:
        own.register_hook(lambda gradient: gradient * count())
        logits[:, span] = own
    return logits.flatten(0, 1)


def align(module):
    """Copy the buffers of the first process, such as the running statistics of a BatchNorm, to all: these are the ones that are saved."""
    if count() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)


def _span(images):
    return slice(rank() * images // count(), (rank() + 1) * images // count())

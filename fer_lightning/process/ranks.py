"""Several processes train one job: how they share a batch.

Each holds the whole batch, augments all of it, and computes the logits of its share; `gather` then gives each the logits of all. So loss,
scores and predictions are those of one process, whatever the loss and however the shares come out, and every picture counts once.
"""

import torch.distributed as dist


def count():
    return dist.get_world_size() if dist.is_initialized() else 1


def rank():
    return dist.get_rank() if dist.is_initialized() else 0


def wait():
    """Until all processes are here."""
    if count() > 1:
        dist.barrier()


def share(batch, pictures):
    """This process's part of (V B, ...): V views of each of B pictures, all first views, then all second ones."""
    if count() == 1:
        return batch
    return batch.unflatten(0, (-1, pictures))[:, _span(pictures)].flatten(0, 1)


def gather(part, pictures):
    """The whole (V B, C), of which each process has computed its share; V views of each of B pictures.

    A gradient goes through the own share, times the number of processes, because DDP takes the mean of what is here a sum.
    """
    if count() == 1:
        return part
    span = _span(pictures)
    own = part.unflatten(0, (-1, span.stop - span.start))
    whole = own.new_zeros(len(own), pictures, *own.shape[2:])
    whole[:, span] = own.detach()
    dist.all_reduce(whole)
    if own.requires_grad:
        own.register_hook(lambda gradient: gradient * count())
        whole[:, span] = own
    return whole.flatten(0, 1)


def align(module):
    """Give every process the first one's buffers, such as the running statistics of a BatchNorm: these are the ones that are saved."""
    if count() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)


def _span(pictures):
    return slice(rank() * pictures // count(), (rank() + 1) * pictures // count())

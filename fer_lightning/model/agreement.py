"""How predictions agree with the people who voted on each picture (FER+): a second opinion beside the one label."""

import torch.nn.functional as F


def agreement(logits, shares):
    """{ferplus_agreement, ferplus_kl} of predictions. logits (N, 7); shares (N, 7): of each class in a picture's votes, or all zero.

    ferplus_agreement: mean over all pictures of `matches`, as accuracy is.
    ferplus_kl: mean of KL(votes || prediction), in nats, over the pictures whose votes went to one of the seven classes at all.
    """
    divergence = F.kl_div(logits.log_softmax(1), shares, reduction="none").sum(1)
    return {
        "ferplus_agreement": matches(logits.argmax(1), shares).mean().item(),
        "ferplus_kl": divergence[shares.any(1)].mean().item(),
    }


def matches(classes, shares):
    """1 where the class (N,) has most votes, 1 / k where k classes share the lead, 0 elsewhere and where no class has a vote. (N,)"""
    leads = (shares == shares.amax(1, keepdim=True)) & (shares > 0)
    return leads.gather(1, classes[:, None])[:, 0] / leads.sum(1).clamp(min=1)

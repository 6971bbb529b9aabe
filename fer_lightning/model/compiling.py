"""torch.compile for backbone and head."""

import torch
import torch._dynamo
import torch._inductor.config

from fer_lightning.process.errors import ConfigError


def compile_nets(module):
    """Compile backbone and head of a module in place: keys of checkpoints stay the same, and copies of the module run uncompiled.

    Each is compiled at its first call in training and in evaluation, and again when the batch size changes.
    Raises ConfigError if torch.compile does not work on this machine.
    """
    torch.compiler.reset()  # each job of a sweep has nets of its own
    # Both nets count together, each up to three times a phase. After the 8 that torch allows, they would run uncompiled.
    torch._dynamo.config.recompile_limit = 64
    # Inductor's own random numbers would draw another dropout from the same seed: the training would be another one.
    torch._inductor.config.fallback_random = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.compile(torch.neg)(torch.ones(8, device=device))
    except Exception as error:  # from dynamo, inductor, the C++ compiler or Triton, whichever is missing
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"compile=true: torch.compile does not work on this machine ({reason}). "
            "It needs a C++ compiler (g++) and Python's headers, on a GPU Triton too. compile=false runs without."
        ) from error
    for part in (module.backbone, module.head):
        part.compile()

"""torch.compile for the two nets of a module."""

import torch
import torch._dynamo

from fer_lightning.process.errors import ConfigError


def compile_nets(module):
    """Compile backbone and head in place: keys of checkpoints stay what they are, and copies of the module run uncompiled.

    Each is compiled when it is first called, for training and for evaluation apiece, and once more when a batch of another size comes.
    Raises ConfigError where nothing can be compiled on this machine.
    """
    torch.compiler.reset()  # of a sweep's jobs each has nets of its own
    # Both nets count together, each up to three times a phase: behind the 8 that torch allows they would go on uncompiled.
    torch._dynamo.config.recompile_limit = 64
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.compile(torch.neg)(torch.ones(8, device=device))
    except Exception as error:  # of dynamo, of inductor, of the C++ compiler or of Triton, whichever is missing
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"compile=true: torch.compile does not work on this machine ({reason}). "
            "It needs a C++ compiler (g++) and Python's headers, on a GPU Triton too. compile=false runs without."
        ) from error
    for part in (module.backbone, module.head):
        part.compile()

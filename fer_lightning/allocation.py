"""Memory that a tensor no longer needs is kept for the next one; else the kernel takes it back and clears it anew for every layer."""

import ctypes
import os

# Of malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4

# With one of these the user has decided otherwise.
DECIDED = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory():
    """Tell glibc's malloc to give nothing back until the process ends. Where there is another malloc, this does nothing.

    By itself it maps each tensor of more than 32 MB afresh, of which the kernel clears page after page. EfficientNet-Lite0 at 112 pixels
    trains twice as fast without, and takes a quarter more memory (docs/performance.md).
    """
    if any(name in os.environ for name in DECIDED):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError):  # macOS, musl, Windows
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, -1)

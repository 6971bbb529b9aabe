"""Memory that a tensor no longer needs is kept for the next one; else the kernel takes it back and clears it anew for every layer.

glibc's malloc by itself maps each tensor of more than 32 MB afresh, of which the kernel then clears page after page. EfficientNet-Lite0 at
112 pixels trains 2.3 times as fast without (docs/performance.md). What is kept does not always fit what is asked for next, so a process
takes a quarter more memory in training, up to twice as much in passes over large batches.
"""

import ctypes
import os

# Of malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4

# With one of these the user has decided otherwise.
DECIDED = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")

# Machines with less have no memory to spare.
AMPLE = 15 << 30


def keep_freed_memory():
    """Have malloc give nothing back until `give_back`. Where it is not glibc's, or memory is short, this does nothing."""
    if any(name in os.environ for name in DECIDED) or _memory() < AMPLE:
        return
    mallopt = _of_libc("mallopt")
    if mallopt:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, -1)


def give_back():
    """Let the kernel have what is kept: the large tensors are over, or another process is about to need as many."""
    trim = _of_libc("malloc_trim")
    if trim:
        trim(0)


def _memory():
    """Bytes of memory of this machine; 0 where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _of_libc(name):
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (TypeError, OSError):  # Windows
        return None

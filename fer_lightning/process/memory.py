"""Keep freed memory for the next tensor. Otherwise the kernel takes it back, and clears it again for every layer.

glibc's malloc maps new memory for each tensor of more than 32 MB, which the kernel clears page by page. Without that, EfficientNet-Lite0 at
112 pixels trains 2.3 times as fast (docs/performance.md). Kept memory does not always fit the next request, so a process needs 25 % more
memory in training, and up to twice as much in passes over large batches.
"""

import ctypes
import os

# Constants of malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4

# If one of these is set, the user has decided.
DECIDED = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")

# Machines with less have no memory to spare.
AMPLE = 15 << 30


def keep_freed_memory():
    """Make malloc keep freed memory until `give_back`. Does nothing without glibc, or on a machine with little memory."""
    if any(name in os.environ for name in DECIDED) or _memory() < AMPLE:
        return
    mallopt = _of_libc("mallopt")
    if mallopt:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, -1)


def give_back():
    """Return the kept memory to the kernel: no more large tensors follow, or another process is about to need as many."""
    trim = _of_libc("malloc_trim")
    if trim:
        trim(0)


def _memory():
    """Bytes of memory of this machine; 0 if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _of_libc(name):
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (TypeError, OSError):  # Windows
        return None

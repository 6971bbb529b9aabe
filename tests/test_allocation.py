"""Freed memory is kept: how many pages a large tensor touches for the first time, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a matter of glibc")

MB = 100
CODE = f"""
import resource, sys
import torch
from fer_lightning.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(20):  # an aligned block does not always fit where the one before has been, until the heap is large enough
    torch.ones({MB} << 18)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones({MB} << 18)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(how, **environment):
    """Pages of 4 KB that ten tensors of 100 MB, one after the other, touch for the first time."""
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_tensor_takes_the_pages_of_the_one_before():
    assert new_pages("keep") < 1000
    assert new_pages("leave") > 10 * MB * 200  # 256 a MB


def test_what_the_user_has_decided_stands():
    assert new_pages("keep", MALLOC_MMAP_MAX_="65536") > 10 * MB * 200


def test_where_there_is_no_glibc_nothing_happens(monkeypatch):
    import ctypes

    from fer_lightning.allocation import keep_freed_memory

    asked = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or object())
    keep_freed_memory()
    assert asked == [None]

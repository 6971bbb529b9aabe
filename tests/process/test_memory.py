"""Freed memory is kept: how many pages a large tensor touches for the first time, in processes of their own."""

import ctypes
import json
import os
import platform
import subprocess
import sys

import pytest

from fer_lightning.process import memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a matter of glibc")

MB = 100
CODE = f"""
import json, resource, sys
import torch
from fer_lightning.process import memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

memory.AMPLE = int(sys.argv[1])
memory.keep_freed_memory()
for _ in range(20):  # an aligned block does not always fit where the one before has been, until the heap is large enough
    torch.ones({MB} << 18)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones({MB} << 18)
pages, kept = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, resident()
memory.give_back()
print(json.dumps([pages, kept - resident()]))
"""


def ten_tensors(ample=0, **environment):
    """(pages of 4 KB that ten tensors of 100 MB, one after the other, touch for the first time, MB that `give_back` then gives back)."""
    done = subprocess.run([sys.executable, "-c", CODE, str(ample)], capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_tensor_takes_the_pages_of_the_one_before_until_they_are_given_back():
    pages, given = ten_tensors()
    assert pages < 1000 and given > 0.9 * MB


@pytest.mark.parametrize("otherwise", [{"MALLOC_MMAP_MAX_": "65536"}, {"ample": 1 << 60}])
def test_what_the_user_has_decided_and_little_memory_leave_it_as_it_is(otherwise):
    pages, given = ten_tensors(**otherwise)
    assert pages > 10 * MB * 200 and given < MB / 2  # 256 a MB


@pytest.mark.parametrize("libc", [object, None])
def test_where_there_is_no_glibc_nothing_happens(monkeypatch, libc):
    asked = []
    monkeypatch.setattr(memory, "AMPLE", 0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: asked.append(name) or libc())
    memory.keep_freed_memory()
    memory.give_back()
    assert asked == [None, None]

"""A sweep in one process does not grow."""

import sys

import pytest
from conftest import ROOT, TINY

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
def test_twenty_jobs_in_one_process_take_no_more_memory_than_five(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from observed import watch

    resident = watch("-m", "seed=" + ",".join(map(str, range(20))), *TINY)["resident"]
    assert len(resident) == 20
    # Both loggers are on. What a job leaves behind is 0.1 MB; a net that stayed, with its optimizer and its average, would be 1.5 MB.
    assert resident[-1] - resident[4] < 15

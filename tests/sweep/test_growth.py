"""A sweep in one process does not grow."""

import sys

import pytest
from helpers.project import ROOT, TINY

pytestmark = pytest.mark.slow


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
def test_twenty_jobs_in_one_process_take_no_more_memory_than_five(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from observed import watch

    whole_net = [override for override in TINY if not override.startswith("backbone.")]
    resident = watch("-m", "seed=" + ",".join(map(str, range(20))), *whole_net)["resident"]
    assert len(resident) == 20
    # The compact net with gradients, momentum and average is 31 MB: fifteen that stayed would be 465.
    assert resident[-1] - resident[4] < 100

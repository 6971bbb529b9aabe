"""Whatever bytes a foreign file holds, its reader takes it or refuses it in a sentence. `make fuzz` looks further, guided by coverage."""

import subprocess
import sys
from functools import cache

import pytest
from helpers.fuzzed_readers import KINDS, seeds
from helpers.project import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

seeds = cache(seeds)


def edited(content):
    """The content with a few pieces of it cut out, replaced, or repeated, and perhaps its end missing."""
    place = st.integers(0, len(content))
    pieces = st.one_of(st.binary(max_size=8), st.sampled_from([b"", b"\0" * 8, b"\xff" * 8, b"\x7f\xff\xff\xff", b"9" * 20, content[:64]]))
    edits = st.lists(st.tuples(place, st.integers(0, 8), pieces), min_size=1, max_size=3)

    def apply(chosen):
        edits, end = chosen
        text = content[:end]
        for at, length, piece in edits:
            text = text[:at] + piece + text[at + length :]
        return text

    return st.tuples(edits, st.one_of(st.none(), place)).map(apply)


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_file_is_taken(kind, tmp_path):
    assert all(KINDS[kind](content, tmp_path) for content in seeds(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_a_refusal_comes_of_any_bytes(kind, tmp_path):
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.one_of(st.binary(max_size=200), st.sampled_from(seeds(kind)).flatmap(edited)))
    def reads(content):
        KINDS[kind](content, tmp_path)

    reads()


def test_columns_of_unlike_length_are_refused(tmp_path):
    """Each byte of a Parquet file's footer set to 1 in turn. Some count the values of a column: once, pictures came without labels."""
    right = seeds("parquet")[0]
    footer = int.from_bytes(right[-8:-4], "little") + 8
    for place in range(len(right) - footer, len(right)):
        KINDS["parquet"](right[:place] + b"\1" + right[place + 1 :], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_coverage_guided_fuzzing_runs(kind, tmp_path):
    pytest.importorskip("atheris", reason="no coverage-guided fuzzing: atheris is not installed")
    command = [sys.executable, ROOT / "tests" / "fuzz" / "readers.py", kind, "-max_total_time=5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Done" in done.stderr, done.stderr[-3000:]

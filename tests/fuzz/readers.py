"""Coverage-guided fuzzing of what reads foreign files: python tests/fuzz/readers.py KIND [libFuzzer's options]; `make fuzz` does all.

Needs `pip install atheris`. A finding stops it, with the bytes in crash-*: put them into tests/fuzz/test_readers.py with what mends it.
"""

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("fuzzing is skipped: atheris is not installed (pip install atheris; Linux, CPython)")

sys.path.insert(0, str(Path(__file__).parent.parent))
with atheris.instrument_imports(include=["fer_lightning", "tarfile", "gzip", "PIL"], enable_loader_override=False):
    from helpers import fuzzed_readers as fuzzed

LIMITS = ["-rss_limit_mb=2000", "-timeout=10", "-max_len=20000", "-print_final_stats=1"]


def main():
    kind, *options = sys.argv[1:]
    read = fuzzed.KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        start = Path(folder) / "seeds"
        start.mkdir()
        for number, content in enumerate(fuzzed.seeds(kind)):
            assert read(content, Path(folder)), f"seed {number} of {kind} is refused"
            (start / str(number)).write_bytes(content)
        atheris.Setup([sys.argv[0], *LIMITS, *options, str(start)], lambda content: read(content, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""The statistics of a study (docs/statistics.md). `findings.py` composes them; every other file is one method."""

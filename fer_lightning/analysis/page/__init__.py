"""The page and the figures of a report. `figures.py` says what is drawn, `charts.py` and `files.py` draw it."""

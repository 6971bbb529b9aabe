"""Grids of jobs: which cells a command spans, what they are called, and what one process tells another about the sweep."""

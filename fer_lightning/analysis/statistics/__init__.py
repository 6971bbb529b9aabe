"""The statistics of a study (docs/statistics.md). `findings.py` composes them; every other file is one method.

They `import scipy` and not parts of it: scipy.stats takes 0.8 s and loads at its first use, so who only imports this does not wait.
"""

"""What a study says, tested: see docs/statistics.md. `findings.py` composes, the other files are one method each."""

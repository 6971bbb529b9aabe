"""This process and its surroundings: errors, signals, ranks, memory, terminal, whole files, the one main of all commands."""

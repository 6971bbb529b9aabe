"""One job: module, fit, phases, evaluation, resume, frozen features; restoring a finished run and its answers."""

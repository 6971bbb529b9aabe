"""Many jobs: Hydra's entry, a job, overrides, plan, launchers, locks, search."""

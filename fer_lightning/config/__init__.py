"""What a config means: schema, targets, error messages, the identity of a job, names of cells."""

"""The run folder: one module per file in it, reader beside writer; states of jobs; the one table of scores."""

"""The page of a report: `html` builds it, `study_figures` says what is drawn; the room figures/ draws it."""

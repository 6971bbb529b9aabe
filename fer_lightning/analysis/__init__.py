"""Tables and statistics of a study, from run folders alone. Nothing here needs torch."""

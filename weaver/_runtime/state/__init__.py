"""The state of a run and of its threads: identity, limits, accounting, guards, the journal's records."""

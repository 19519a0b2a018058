"""Working on runs that were submitted: what is submitted, how it is run, and the worker around it."""

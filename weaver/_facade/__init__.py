"""`Weaver` and the ways to run a task with it."""

"""Running a checked workflow: each step is a thread."""

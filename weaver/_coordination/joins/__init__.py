"""Join rules, how they are written, and pruning."""

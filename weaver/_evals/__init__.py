"""Comparing strategies on tasks with ground truth."""

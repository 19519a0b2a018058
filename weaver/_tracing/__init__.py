"""Spans of runs: recording them, exporting them, keeping them on this machine, and showing them."""

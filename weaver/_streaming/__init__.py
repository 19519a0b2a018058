"""Runs that are watched while they happen."""

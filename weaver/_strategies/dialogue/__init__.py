"""Strategies whose threads read each other."""

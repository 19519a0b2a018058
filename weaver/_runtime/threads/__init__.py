"""Threads: forked, run to their final state, joined."""

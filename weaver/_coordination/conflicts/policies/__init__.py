"""Policies that settle a conflict, each usable alone, and ladders of them.

A policy is ``async def (run, conflict, threads) -> Resolution | None``; None leaves the conflict to the next
one. Options are bound with `functools.partial` or written in the text of a ladder:
``majority, verify(samples=3), judge``.
"""

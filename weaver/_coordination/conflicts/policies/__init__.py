"""Policies that settle a conflict, each usable alone, and ladders of them.

A policy is ``async def (run, conflict, threads) -> Resolution | None``; None leaves the conflict to the next
one. Options are bound with `functools.partial` or written in the text of a ladder:
``majority, verify(samples=3), judge``.
"""

from weaver._coordination.conflicts.policies.asking import ask, keep
from weaver._coordination.conflicts.policies.debating import debate
from weaver._coordination.conflicts.policies.judging import judge
from weaver._coordination.conflicts.policies.ladder import DEFAULT_LADDER, parse_ladder, policy_name
from weaver._coordination.conflicts.policies.positions import Policy
from weaver._coordination.conflicts.policies.verification import escalate, verify
from weaver._coordination.conflicts.policies.voting import clear_majority, confidence_weighted, majority

__all__ = [
    "DEFAULT_LADDER",
    "Policy",
    "ask",
    "clear_majority",
    "confidence_weighted",
    "debate",
    "escalate",
    "judge",
    "keep",
    "majority",
    "parse_ladder",
    "policy_name",
    "verify",
]

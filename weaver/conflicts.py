"""Conflicts between threads: claims, detection, and the policies that resolve them."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._coordination.conflicts.claims import asking_for_claims, claiming, split_claims, with_claims
    from weaver._coordination.conflicts.detection import find_conflicts
    from weaver._coordination.conflicts.policies import (
        ask,
        clear_majority,
        confidence_weighted,
        debate,
        escalate,
        judge,
        keep,
        majority,
        parse_ladder,
        verify,
    )
    from weaver._coordination.conflicts.policies.positions import Policy, Position, positions
    from weaver._coordination.conflicts.resolve import settle_conflicts
    from weaver._data.result import Claim, Conflict, ConflictValue, Resolution

_MODULES = {
    "Claim": "_data.result",
    "Conflict": "_data.result",
    "ConflictValue": "_data.result",
    "Policy": "_coordination.conflicts.policies.positions",
    "Position": "_coordination.conflicts.policies.positions",
    "Resolution": "_data.result",
    "ask": "_coordination.conflicts.policies",
    "asking_for_claims": "_coordination.conflicts.claims",
    "claiming": "_coordination.conflicts.claims",
    "clear_majority": "_coordination.conflicts.policies",
    "confidence_weighted": "_coordination.conflicts.policies",
    "debate": "_coordination.conflicts.policies",
    "escalate": "_coordination.conflicts.policies",
    "find_conflicts": "_coordination.conflicts.detection",
    "judge": "_coordination.conflicts.policies",
    "keep": "_coordination.conflicts.policies",
    "majority": "_coordination.conflicts.policies",
    "parse_ladder": "_coordination.conflicts.policies",
    "positions": "_coordination.conflicts.policies.positions",
    "settle_conflicts": "_coordination.conflicts.resolve",
    "split_claims": "_coordination.conflicts.claims",
    "verify": "_coordination.conflicts.policies",
    "with_claims": "_coordination.conflicts.claims",
}

__all__ = [
    "Claim",
    "Conflict",
    "ConflictValue",
    "Policy",
    "Position",
    "Resolution",
    "ask",
    "asking_for_claims",
    "claiming",
    "clear_majority",
    "confidence_weighted",
    "debate",
    "escalate",
    "find_conflicts",
    "judge",
    "keep",
    "majority",
    "parse_ladder",
    "positions",
    "settle_conflicts",
    "split_claims",
    "verify",
    "with_claims",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)

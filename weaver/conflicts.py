"""Conflicts between threads: claims, detection, and the policies that resolve them."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._coordination.conflicts.claims import asking_for_claims, claiming, split_claims, with_claims
    from weaver._coordination.conflicts.detection import find_conflicts
    from weaver._coordination.conflicts.policies.asking import ask, keep
    from weaver._coordination.conflicts.policies.debating import debate
    from weaver._coordination.conflicts.policies.judging import judge
    from weaver._coordination.conflicts.policies.ladder import parse_ladder
    from weaver._coordination.conflicts.policies.positions import Policy, Position, positions
    from weaver._coordination.conflicts.policies.verification import escalate, verify
    from weaver._coordination.conflicts.policies.voting import clear_majority, confidence_weighted, majority
    from weaver._coordination.conflicts.resolve import settle_conflicts
    from weaver._data.result import Claim, Conflict, ConflictValue, Resolution

_MODULES = {
    "Claim": "_data.result",
    "Conflict": "_data.result",
    "ConflictValue": "_data.result",
    "Policy": "_coordination.conflicts.policies.positions",
    "Position": "_coordination.conflicts.policies.positions",
    "Resolution": "_data.result",
    "ask": "_coordination.conflicts.policies.asking",
    "asking_for_claims": "_coordination.conflicts.claims",
    "claiming": "_coordination.conflicts.claims",
    "clear_majority": "_coordination.conflicts.policies.voting",
    "confidence_weighted": "_coordination.conflicts.policies.voting",
    "debate": "_coordination.conflicts.policies.debating",
    "escalate": "_coordination.conflicts.policies.verification",
    "find_conflicts": "_coordination.conflicts.detection",
    "judge": "_coordination.conflicts.policies.judging",
    "keep": "_coordination.conflicts.policies.asking",
    "majority": "_coordination.conflicts.policies.voting",
    "parse_ladder": "_coordination.conflicts.policies.ladder",
    "positions": "_coordination.conflicts.policies.positions",
    "settle_conflicts": "_coordination.conflicts.resolve",
    "split_claims": "_coordination.conflicts.claims",
    "verify": "_coordination.conflicts.policies.verification",
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

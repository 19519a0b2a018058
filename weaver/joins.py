"""Join rules, and what makes one answer of the joined threads: equivalence, votes, merges."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._coordination.answers.equivalence import equivalence, number, same_json
    from weaver._coordination.answers.math import mathematics
    from weaver._coordination.answers.protocol import Equivalence
    from weaver._coordination.answers.votes import Group, Votes
    from weaver._coordination.joins.parser import parse_rule
    from weaver._coordination.joins.rules import (
        BestOf,
        Both,
        Composable,
        Either,
        First,
        Quorum,
        Settled,
        Until,
    )
    from weaver._runtime.threads.join_protocol import All, Joined, JoinRule, JoinState, Pruner, Waiting
    from weaver._synthesis.choice import Auto
    from weaver._synthesis.concat import Concat
    from weaver._synthesis.data import Data
    from weaver._synthesis.merge import Merge, MergeInOrder, Parts, speak
    from weaver._synthesis.pick import Pick
    from weaver._synthesis.reference import Reference
    from weaver._synthesis.write import Write

_MODULES = {
    "All": "_runtime.threads.join_protocol",
    "Auto": "_synthesis.choice",
    "BestOf": "_coordination.joins.rules",
    "Both": "_coordination.joins.rules",
    "Composable": "_coordination.joins.rules",
    "Concat": "_synthesis.concat",
    "Data": "_synthesis.data",
    "Either": "_coordination.joins.rules",
    "Equivalence": "_coordination.answers.protocol",
    "First": "_coordination.joins.rules",
    "Group": "_coordination.answers.votes",
    "JoinRule": "_runtime.threads.join_protocol",
    "JoinState": "_runtime.threads.join_protocol",
    "Joined": "_runtime.threads.join_protocol",
    "Merge": "_synthesis.merge",
    "MergeInOrder": "_synthesis.merge",
    "Parts": "_synthesis.merge",
    "Pick": "_synthesis.pick",
    "Pruner": "_runtime.threads.join_protocol",
    "Quorum": "_coordination.joins.rules",
    "Reference": "_synthesis.reference",
    "Settled": "_coordination.joins.rules",
    "Until": "_coordination.joins.rules",
    "Votes": "_coordination.answers.votes",
    "Waiting": "_runtime.threads.join_protocol",
    "Write": "_synthesis.write",
    "equivalence": "_coordination.answers.equivalence",
    "mathematics": "_coordination.answers.math",
    "number": "_coordination.answers.equivalence",
    "parse_rule": "_coordination.joins.parser",
    "same_json": "_coordination.answers.equivalence",
    "speak": "_synthesis.merge",
}

__all__ = [
    "All",
    "Auto",
    "BestOf",
    "Both",
    "Composable",
    "Concat",
    "Data",
    "Either",
    "Equivalence",
    "First",
    "Group",
    "JoinRule",
    "JoinState",
    "Joined",
    "Merge",
    "MergeInOrder",
    "Parts",
    "Pick",
    "Pruner",
    "Quorum",
    "Reference",
    "Settled",
    "Until",
    "Votes",
    "Waiting",
    "Write",
    "equivalence",
    "mathematics",
    "number",
    "parse_rule",
    "same_json",
    "speak",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)

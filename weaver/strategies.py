"""The built-in strategies as functions, and the parts to write others."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._strategies.best_of_n import best_of_n
    from weaver._strategies.common.registry import strategy
    from weaver._strategies.common.spread import spread
    from weaver._strategies.common.thought_graph import (
        Aggregate,
        Generate,
        Graph,
        GroundTruth,
        Improve,
        KeepBestN,
        KeepValid,
        Operation,
        Score,
        Selector,
        Thought,
        ValidateAndImprove,
    )
    from weaver._strategies.deep_prune import deep_prune
    from weaver._strategies.deepconf import deepconf
    from weaver._strategies.dialogue.debate import debate
    from weaver._strategies.dialogue.explore_then_write import explore_then_write
    from weaver._strategies.dialogue.group_think import group_think
    from weaver._strategies.dialogue.hogwild import hogwild
    from weaver._strategies.dialogue.mixture_of_agents import mixture_of_agents
    from weaver._strategies.dialogue.organizer import organizer
    from weaver._strategies.dialogue.rounds import rounds
    from weaver._strategies.dialogue.tool_mix import tool_mix
    from weaver._strategies.difficulty_voting import difficulty_voting
    from weaver._strategies.graph_of_thoughts import graph_of_thoughts
    from weaver._strategies.llm_compiler import llm_compiler
    from weaver._strategies.long_inputs.explore import explore
    from weaver._strategies.long_inputs.map_reduce import map_reduce
    from weaver._strategies.native import check, statistics
    from weaver._strategies.native.apr import apr
    from weaver._strategies.native.common.engine import Woven, weave
    from weaver._strategies.native.multiverse import multiverse
    from weaver._strategies.native.npr import npr
    from weaver._strategies.native.parallel_r1 import parallel_r1
    from weaver._strategies.native.pasta import pasta
    from weaver._strategies.native.threadweaver import threadweaver
    from weaver._strategies.parallel_probe import parallel_probe
    from weaver._strategies.parathinker import parathinker
    from weaver._strategies.planned.adaptive import adaptive
    from weaver._strategies.planned.fixed import fixed
    from weaver._strategies.self_consistency import self_consistency
    from weaver._strategies.sequential import sequential
    from weaver._strategies.skeleton_of_thought import skeleton_of_thought
    from weaver._strategies.tree_of_thoughts import tree_of_thoughts

_MODULES = {
    "Aggregate": "_strategies.common.thought_graph",
    "Generate": "_strategies.common.thought_graph",
    "Graph": "_strategies.common.thought_graph",
    "GroundTruth": "_strategies.common.thought_graph",
    "Improve": "_strategies.common.thought_graph",
    "KeepBestN": "_strategies.common.thought_graph",
    "KeepValid": "_strategies.common.thought_graph",
    "Operation": "_strategies.common.thought_graph",
    "Score": "_strategies.common.thought_graph",
    "Selector": "_strategies.common.thought_graph",
    "Thought": "_strategies.common.thought_graph",
    "ValidateAndImprove": "_strategies.common.thought_graph",
    "adaptive": "_strategies.planned.adaptive",
    "apr": "_strategies.native.apr",
    "best_of_n": "_strategies.best_of_n",
    "check": "_strategies.native",
    "debate": "_strategies.dialogue.debate",
    "deepconf": "_strategies.deepconf",
    "explore": "_strategies.long_inputs.explore",
    "fixed": "_strategies.planned.fixed",
    "graph_of_thoughts": "_strategies.graph_of_thoughts",
    "group_think": "_strategies.dialogue.group_think",
    "hogwild": "_strategies.dialogue.hogwild",
    "llm_compiler": "_strategies.llm_compiler",
    "map_reduce": "_strategies.long_inputs.map_reduce",
    "mixture_of_agents": "_strategies.dialogue.mixture_of_agents",
    "multiverse": "_strategies.native.multiverse",
    "npr": "_strategies.native.npr",
    "parallel_probe": "_strategies.parallel_probe",
    "parallel_r1": "_strategies.native.parallel_r1",
    "parathinker": "_strategies.parathinker",
    "pasta": "_strategies.native.pasta",
    "rounds": "_strategies.dialogue.rounds",
    "deep_prune": "_strategies.deep_prune",
    "difficulty_voting": "_strategies.difficulty_voting",
    "explore_then_write": "_strategies.dialogue.explore_then_write",
    "organizer": "_strategies.dialogue.organizer",
    "tool_mix": "_strategies.dialogue.tool_mix",
    "self_consistency": "_strategies.self_consistency",
    "sequential": "_strategies.sequential",
    "skeleton_of_thought": "_strategies.skeleton_of_thought",
    "spread": "_strategies.common.spread",
    "statistics": "_strategies.native",
    "strategy": "_strategies.common.registry",
    "threadweaver": "_strategies.native.threadweaver",
    "weave": "_strategies.native.common.engine",
    "Woven": "_strategies.native.common.engine",
    "tree_of_thoughts": "_strategies.tree_of_thoughts",
}

__all__ = [
    "Aggregate",
    "Generate",
    "Graph",
    "GroundTruth",
    "Improve",
    "KeepBestN",
    "KeepValid",
    "Operation",
    "Score",
    "Selector",
    "Thought",
    "ValidateAndImprove",
    "Woven",
    "adaptive",
    "apr",
    "best_of_n",
    "check",
    "debate",
    "deep_prune",
    "deepconf",
    "difficulty_voting",
    "explore",
    "explore_then_write",
    "fixed",
    "graph_of_thoughts",
    "group_think",
    "hogwild",
    "llm_compiler",
    "map_reduce",
    "mixture_of_agents",
    "multiverse",
    "npr",
    "organizer",
    "parallel_probe",
    "parallel_r1",
    "parathinker",
    "pasta",
    "rounds",
    "self_consistency",
    "sequential",
    "skeleton_of_thought",
    "spread",
    "statistics",
    "strategy",
    "threadweaver",
    "tool_mix",
    "tree_of_thoughts",
    "weave",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)

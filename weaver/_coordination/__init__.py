"""When threads have said enough, what most of them say, and what to believe when they disagree.

Joins: `joins` (`First`, `Quorum`, `BestOf`, `Settled`, `Until`, composed with ``|`` and ``&``); their text
form is read by `rule_text.parse_rule`. Which threads became unnecessary: `pruning`.
Votes: `votes.Votes`; `certainty` (when to stop sampling); `equivalence.equivalence` (when answers are the
same), with `judged.judged` for free text and `mathematics` for algebra; `values` (numbers, dates, words).
Conflicts: `claims.claiming` (threads return claims), `conflicts.find_conflicts`, `resolution` (policies and
ladders), `settling.settle_conflicts` (all of it), `briefing` (what the synthesizer and the reader are told).
"""

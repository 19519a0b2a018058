"""Does finding and settling conflicts pay? Seeded tasks with known contradictions, and scripted models.

``python -m weaver._evals.conflicts`` writes ``docs/conflicts-report.md``.
"""

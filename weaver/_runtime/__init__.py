"""The runtime: runs, threads, calls, budgets. What strategies are written with."""

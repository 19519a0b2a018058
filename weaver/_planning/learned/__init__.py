"""The policy that learns: quality of each way to answer, from results; see docs/policy.md."""

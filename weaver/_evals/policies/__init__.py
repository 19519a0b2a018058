"""Fitting a policy to results, and judging one without running it; see docs/policy.md."""

"""Do long inputs, tests and routing pay? Tasks by seed: ``python -m tests.benchmarks.evidence --help``."""

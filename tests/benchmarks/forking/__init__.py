"""Does forking pay? Tasks made by seed, on any endpoint: ``python -m tests.benchmarks.forking --help``."""

"""The gate: what a fork and a direct answer will take, and which of them pays (docs/adaptive.md)."""

"""Commands for workflow files."""

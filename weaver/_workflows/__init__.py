"""Workflows: from a YAML file to a run. The public names are in `weaver.workflows`."""

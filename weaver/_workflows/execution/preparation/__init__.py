"""Before a workflow runs: inputs, environment variables, servers, steps with their models."""

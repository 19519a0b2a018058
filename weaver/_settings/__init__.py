"""Settings: from arguments, the environment and weaver.toml."""

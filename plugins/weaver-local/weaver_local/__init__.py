"""A small language model on this machine, for weaver: no key, no server to start."""

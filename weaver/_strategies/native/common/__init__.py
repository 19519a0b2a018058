"""Parts of the native formats: grammar, prompts, trajectories, decoding."""

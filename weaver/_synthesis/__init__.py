"""Merging findings into an answer: `synthesizer.synthesize`; what the model is told is in `prompts`."""

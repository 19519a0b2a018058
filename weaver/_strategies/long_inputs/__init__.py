"""Strategies for inputs that are longer than the model's context window."""

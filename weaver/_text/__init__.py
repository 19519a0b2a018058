"""Text: patterns that are compiled on first use, and fences around untrusted text."""

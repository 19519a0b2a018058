"""Text: fences around untrusted text, patterns compiled on first use, short texts, names nearly right."""

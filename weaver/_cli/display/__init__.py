"""The terminal: the live view, progress lines, the printed result."""

"""Commands that show what is stored, installed and reachable."""

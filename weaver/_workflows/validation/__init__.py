"""From a tree to a checked workflow: references, scopes, types, and every problem at once."""

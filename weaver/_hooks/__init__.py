"""Code of the user's around model calls, around tools, and at both ends of a run."""

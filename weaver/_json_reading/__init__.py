"""Reading JSON as models write it."""

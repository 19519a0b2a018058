"""A recorded run in the terminal and as HTML."""

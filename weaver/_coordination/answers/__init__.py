"""Comparing answers: equality, votes, when to stop."""

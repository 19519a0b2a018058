"""Conversations: read from data, made fit to be sent, and condensed."""

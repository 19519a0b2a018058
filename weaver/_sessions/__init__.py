"""Conversations that go on over several runs."""

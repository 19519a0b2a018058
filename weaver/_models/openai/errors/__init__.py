"""Errors of OpenAI-compatible servers: bodies, headers, complaints about parameters."""

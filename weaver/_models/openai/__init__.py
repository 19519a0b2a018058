"""The adapter for endpoints that speak OpenAI's protocol."""

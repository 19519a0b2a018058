"""The adapter to LiteLLM, loaded when a model of it is used."""

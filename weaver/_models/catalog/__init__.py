"""From a model's name to an endpoint: providers, detection, resolution."""

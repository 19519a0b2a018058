"""`LiteLLMModel`, also importable as ``weaver.models.LiteLLMModel``."""

from weaver._models.litellm.model import LiteLLMModel

__all__ = ["LiteLLMModel"]

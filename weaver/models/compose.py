"""`layered`, also importable as ``weaver.models.layered``."""

from weaver._models.compose import layered

__all__ = ["layered"]

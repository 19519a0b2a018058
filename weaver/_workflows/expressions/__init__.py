"""Expressions and templates: parsing, typing and evaluating them."""

"""Strategies that follow a plan of subtasks."""

"""Checks of an answer that need no opinion: functions, schemas, arithmetic, tests."""

"""Weaver on this machine: its folders, file locks, installed plugins."""

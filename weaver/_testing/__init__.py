"""Scripted models, virtual time, a loopback server. The public names are in `weaver.testing`."""

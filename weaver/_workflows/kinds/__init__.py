"""The kinds of steps: each brings its keys, its checks, its drawing and its work."""

"""The page of `weaver ui`: its server, and the files that the browser loads."""

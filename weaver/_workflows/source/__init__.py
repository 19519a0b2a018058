"""YAML text and the tree read from it, with the place of every value; problems; writing YAML."""

"""One module for each kind of span: how it begins, its attributes, how it ends."""

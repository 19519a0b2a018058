"""What a workflow file is made of: the definition, its defaults and its steps."""

"""What a workflow file may say: plain data, the types of its values, and its JSON Schema."""

"""Finding contradictions between threads and resolving them."""

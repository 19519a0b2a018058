"""Kill durable runs everywhere, go on with them, and compare with runs that nobody killed."""

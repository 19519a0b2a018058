"""The plain data that every part of Weaver exchanges: tasks, plans, messages, results, usage. No I/O."""

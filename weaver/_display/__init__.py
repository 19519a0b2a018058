"""Results, plans and runs for people: one line, Markdown for notebooks, and pictures for terminals."""

"""What else is made of a workflow: its tests, its diagram, its highest cost."""

"""What a durable run tells viewers in other processes: its events, in its journal."""

"""What a run may use: tokens, money, calls, threads, time."""

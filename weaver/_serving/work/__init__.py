"""From what a client asks to a run and its pieces, whichever protocol it came by."""

"""Documents that a task is about: opening files of many kinds, places in them, splitting at their seams."""

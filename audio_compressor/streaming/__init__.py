"""From uploaded tracks to published renditions: what is to be done, doing it, and telling what became of it."""

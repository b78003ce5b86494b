"""The operations page and its API: a process of its own, which only reads."""

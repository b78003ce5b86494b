"""The ids of one person: what brings them together, what refuses it, and what moves with it."""

"""Triggers: the reference consumer of segment changes, which sends messages and calls webhooks."""

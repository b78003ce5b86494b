"""Bytes to events, changes to bytes, customers both ways: the only place that knows JSON."""

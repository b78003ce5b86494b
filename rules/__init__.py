"""Segments as pure functions: events make profiles, profiles and an instant make membership.

No code in this package reads a clock, a network, a file outside itself or a random number:
time is an argument, so the same events always give the same changes.
"""

"""Reasons in words, in each language."""

"""Reads topics and stored customers beside the worker: replays, recomputation, verification."""

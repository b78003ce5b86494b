"""Channels: each sends messages in one way, and implements the protocol in `streams.triggers.messages`."""

"""Channels: ways by which a message leaves; each is one small file behind `streams.triggers.messages`."""

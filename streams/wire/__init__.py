"""Records as bytes: input messages to events, changes to records, customers to stored bytes and back.

No other package knows JSON.
"""

"""What each field of an event may hold, and the right memberships for it."""

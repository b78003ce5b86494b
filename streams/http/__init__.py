"""HTTP servers: who may ask, how many at once, and with which token."""

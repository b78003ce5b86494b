"""A file of segments: its forms, how it is read, and what is wrong with it."""

"""The file of segments: its forms, its parser, and its problems."""

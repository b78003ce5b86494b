"""The commands of the command line, one module per command; each `run` returns the exit code."""

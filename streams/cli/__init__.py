"""What the command line does, one module per command; each `run` gives the exit code."""

"""The rights that each process and command needs."""

"""The parts of every process that owns partitions: assignment, steps, checkpoints, outbox, metrics."""

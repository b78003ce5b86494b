"""What every process that owns partitions has: assignment, steps, checkpoints, outbox, metrics."""

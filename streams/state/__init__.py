"""What is stored of a partition: the contract of a store, and the stores which keep it."""

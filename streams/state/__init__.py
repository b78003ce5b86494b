"""The stored state of partitions: the contract of a store, and its implementations in memory and on Redis."""

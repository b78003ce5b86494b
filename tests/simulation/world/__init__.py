"""A seeded simulation: the real segmenter on a simulated Kafka, Redis, group and clock.

The one rule: a seed is a whole world, faults and all; `python -m tests.simulation.world --seed N` repeats it.
"""

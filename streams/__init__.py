"""The shell around the rules: everything that touches Kafka, Redis, the clock or the environment."""

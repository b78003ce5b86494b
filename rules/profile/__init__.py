"""What is remembered of a customer, bounded by what the rules need."""

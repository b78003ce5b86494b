"""The worker, which segments customers."""

"""What ``import cython`` gives to interpreted code when Cython is not installed."""

compiled = False

"""Replaces the module ``cython`` for interpreted code when Cython is not installed."""

compiled = False

"""The calls of a list and of raw blocks, and the work that each of them does."""

"""The calls of a list and of raw blocks, with what each of them does."""

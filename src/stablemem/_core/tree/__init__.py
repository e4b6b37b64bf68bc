"""Nodes of 4 KiB, copied on write, and the counted B+tree over them."""

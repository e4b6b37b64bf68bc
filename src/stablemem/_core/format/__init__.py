"""Bytes and records, each from the other. Nothing here does input or output."""

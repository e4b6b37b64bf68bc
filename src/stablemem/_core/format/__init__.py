"""Converts bytes to records and records to bytes. Nothing here does input or output."""

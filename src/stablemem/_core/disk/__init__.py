"""The file: reading, writing and mapping it, its header, and the locks on it."""

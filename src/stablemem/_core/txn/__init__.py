"""Changes: how they begin, are undone and committed, and the handle that makes them."""

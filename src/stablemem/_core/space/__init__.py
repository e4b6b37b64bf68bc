"""Where bytes are free: the trees of free blocks, and the log that keeps them in the file."""

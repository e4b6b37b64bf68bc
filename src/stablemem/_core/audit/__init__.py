"""Looking over a whole region: the proof that it is sound, and what its bytes are used for."""

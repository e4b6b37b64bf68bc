"""Looks over a whole region: the proof that a state is whole, and the use of each byte."""

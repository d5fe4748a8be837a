"""Public documents <-> contracts. Written by hand: the generic converter costs ten times as much."""

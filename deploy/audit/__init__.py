"""Examines databases and topics for every invariant that can be read from them."""

"""Speaks to the gateways by the client's rules and records what became of every operation."""

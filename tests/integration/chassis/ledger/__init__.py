"""A tiny service's schema, for the tests of the chassis."""

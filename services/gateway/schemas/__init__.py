"""The JSON documents of the public API, one module per service behind it."""

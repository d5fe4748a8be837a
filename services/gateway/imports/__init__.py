"""Product imports: a streamed body becomes rows, rows become chunks for the catalog, its answers one report."""

"""The schema of the catalog's database, step by step."""

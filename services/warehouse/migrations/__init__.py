"""The schema of the warehouse database, step by step."""

"""Sends a wholesaler's recorded sales through the public API and accounts for every row of them."""

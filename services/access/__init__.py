"""Access: tenants, their API keys, and the snapshots by which the gateway knows them."""

"""Warehouses, stock, holds, sourcing and parcels."""

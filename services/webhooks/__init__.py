"""Webhooks: tells programs of tenants what happens, by signed HTTP requests (Standard Webhooks)."""

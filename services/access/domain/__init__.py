"""Values and rules of tenants and keys; no IO."""

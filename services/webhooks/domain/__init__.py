"""Values and rules of endpoints, deliveries and what is sent; no IO."""

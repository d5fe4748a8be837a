"""What the catalog means: values, their rules, and the decision of what a set of products changes. No IO."""

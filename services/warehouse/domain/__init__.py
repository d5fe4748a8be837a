"""The rules: values and decisions without input or output."""

"""What the storefront reads most, kept in this process and fed from the compacted topics."""

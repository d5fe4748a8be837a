"""The same benchmark on small and on large tables, to see what an order costs after years of business."""

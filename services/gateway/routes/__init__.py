"""The HTTP surface by resource. Each module declares its routes; `routes.table` lists them all."""

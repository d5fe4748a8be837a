"""Functions that take a connection: rows <-> domain values. No rules, no protobuf. The SQL is in queries.sql."""

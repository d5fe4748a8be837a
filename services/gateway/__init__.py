"""The public door: HTTP/JSON outside, gRPC and compacted topics inside. No rules and no order data of its own."""

"""The gRPC services of the warehouse: protobuf in and out, the errors of the contract; no rules and no SQL."""

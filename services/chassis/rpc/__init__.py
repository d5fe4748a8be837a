"""gRPC, the same on both sides of every call: options, errors, deadlines, trace context, metrics."""

"""The use cases. Each owns its transaction; none knows gRPC, Kafka or HTTP."""

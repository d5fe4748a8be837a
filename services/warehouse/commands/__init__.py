"""The use cases. Each owns its transaction; none knows gRPC or Kafka."""

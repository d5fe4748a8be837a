"""The AsyncAPI document of every topic, made from the contracts and from what the services publish."""

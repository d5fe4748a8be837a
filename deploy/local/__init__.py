"""The local stack: PostgreSQL, Apache Kafka and the services as child processes on loopback.

`python -m deploy.local up` starts them; tests use the same classes, side by side in folders of their own.
"""

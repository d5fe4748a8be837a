"""Channel arguments that must agree on both sides of a connection.

A client that pings more often than its server allows is cut off with GOAWAY too_many_pings, so the interval
of the one and the minimum of the other stand side by side here.
"""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
METADATA_BYTES_MAX = 16 * 1024

KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
PING_INTERVAL_MS_MIN = 20_000

Options = list[tuple[str, int | str]]

_SHARED: Options = [
    ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
]


def server_options(*, connection_age_s_max: float, connection_age_grace_s: float) -> Options:
    """A server's arguments. A port that another process holds is refused instead of silently shared."""
    return [
        *_SHARED,
        ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
        # The core's own bandwidth probes count as pings too: a busy client was cut off for them.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_connection_age_ms", int(connection_age_s_max * 1000)),
        ("grpc.max_connection_age_grace_ms", int(connection_age_grace_s * 1000)),
        ("grpc.so_reuseport", 0),
    ]


def channel_options(service_config_json: str) -> Options:
    """A channel's arguments: quick to come back after a server's restart, configured only by ourselves."""
    return [
        *_SHARED,
        ("grpc.service_config", service_config_json),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_retries", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]

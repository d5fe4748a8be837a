"""The dashboard of whoever is on call: requests, calls, pipeline, database, Kafka, saturation."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.grafana.panels import Query, Row, graph, number

UID = "sampan-operation"
TITLE = "Sampan: operation"
DESCRIPTION = "What the alerts look at, and what to look at beside it."


def p99(metric: str, by: str) -> str:
    """The time within which 99 of 100 are done."""
    return f"histogram_quantile(0.99, sum by ({by}, le) (rate({metric}_bucket[$__rate_interval])))"


def rows() -> Sequence[Row]:
    """All panels."""
    return [
        _overview(),
        _requests(),
        _calls(),
        _pipeline(),
        _kafka(),
        _database(),
        _webhooks(),
        _saturation(),
    ]


def _overview() -> Row:
    return Row(
        "At a glance",
        [
            number(
                "Processes that answer",
                "short",
                Query(
                    'sum by (job) (up{job=~"gateway|access|catalog|orders|warehouse|webhooks"})', "{{job}}"
                ),
            ),
            number(
                "Requests per second", "reqps", Query("sum(route:sampan_http_requests:rate5m)", "requests")
            ),
            number(
                "Errors in an hour",
                "percentunit",
                Query("sampan:http_errors:ratio_rate1h", "of requests: 5xx"),
            ),
            number(
                "Slow answers in an hour",
                "percentunit",
                Query("sampan:http_slow:ratio_rate1h", "of requests: above 0.5 s"),
            ),
            number("Parked events", "short", Query("max(sampan_consumer_parked_events)", "parked")),
            number(
                "Alerts",
                "short",
                Query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing"),
            ),
        ],
    )


def _requests() -> Row:
    return Row(
        "Requests at the gateway: rate, errors, duration",
        [
            graph(
                "Requests per second, by route",
                "reqps",
                Query("route:sampan_http_requests:rate5m", "{{method}} {{route}}"),
            ),
            graph(
                "Answers that are no success, per second",
                "reqps",
                Query(
                    "sum by (route, status) "
                    '(rate(sampan_http_requests_total{status!~"2..|3.."}[$__rate_interval])) or vector(0)',
                    "{{status}} {{route}}",
                ),
            ),
            graph(
                "Duration, 99 of 100",
                "s",
                Query("route:sampan_http_request_seconds:p99_5m", "{{method}} {{route}}"),
            ),
            graph(
                "Error budget: 5xx",
                "percentunit",
                *[Query(f"sampan:http_errors:ratio_rate{window}", window) for window in ("5m", "1h", "6h")],
                Query("vector(0.001)", "budget"),
            ),
            graph(
                "Error budget: above 0.5 s",
                "percentunit",
                *[Query(f"sampan:http_slow:ratio_rate{window}", window) for window in ("5m", "1h", "6h")],
                Query("vector(0.01)", "budget"),
            ),
            graph(
                "Connections and requests at work",
                "short",
                Query("sum(sampan_gateway_connections)", "connections"),
                Query("sum(sampan_http_requests_in_flight)", "requests"),
                Query("sum(sampan_gateway_streams)", "event streams and waits"),
            ),
            graph(
                "Events to those who follow, per second",
                "ops",
                Query(
                    "sum by (kind) (rate(sampan_gateway_stream_events_total[$__rate_interval]))", "{{kind}}"
                ),
                Query(
                    "sum(rate(sampan_gateway_streams_cut_total[$__rate_interval]))",
                    "streams cut off: not read in time",
                ),
            ),
        ],
    )


def _calls() -> Row:
    return Row(
        "Calls between the services: rate, errors, duration",
        [
            graph(
                "Calls per second, by method",
                "reqps",
                Query("method:sampan_rpc_server_handled:rate5m", "{{method}}"),
            ),
            graph(
                "Calls that are no success, per second",
                "reqps",
                Query(
                    'sum by (method, code) (rate(sampan_rpc_server_handled_total{code!="OK"}[$__rate_interval])) '
                    "or vector(0)",
                    "{{code}} {{method}}",
                ),
            ),
            graph("Duration, 99 of 100", "s", Query("method:sampan_rpc_server_seconds:p99_5m", "{{method}}")),
        ],
    )


def _pipeline() -> Row:
    return Row(
        "Pipeline: ages",
        [
            graph(
                "Oldest event in an outbox",
                "s",
                Query("max by (job) (sampan_outbox_oldest_age_seconds)", "{{job}}"),
            ),
            graph(
                "Oldest event not applied, by group",
                "s",
                Query("max by (group, topic) (sampan_consumer_lag_age_seconds)", "{{group}} {{topic}}"),
            ),
            graph(
                "Oldest undecided order",
                "s",
                Query("max(sampan_orders_undecided_age_seconds)", "undecided"),
                Query(
                    "sum(rate(sampan_orders_held_back_total[$__rate_interval]))",
                    "placements held back a second",
                ),
            ),
            graph(
                "Age of what the gateway read last",
                "s",
                Query("max by (reader) (sampan_reader_last_event_age_seconds)", "{{reader}}"),
            ),
            graph(
                "Timers and holds that are late",
                "short",
                Query("max by (kind) (sampan_orders_timers_overdue)", "{{kind}}"),
                Query("max(sampan_warehouse_holds_pending_past_deadline)", "holds"),
            ),
            graph(
                "Faults that the audit found",
                "short",
                Query("max by (check) (sampan_audit_faults) > 0 or sum(sampan_audit_faults)", "{{check}}"),
                description='Where `make audit ARGS="--metrics FILE.prom"` runs and its file is scraped.',
            ),
        ],
    )


def _kafka() -> Row:
    return Row(
        "Kafka: sent and consumed",
        [
            graph(
                "Events sent per second, by topic",
                "ops",
                Query("sum by (topic) (rate(sampan_outbox_sent_total[$__rate_interval]))", "{{topic}}"),
            ),
            graph(
                "Rounds that Kafka refused or left unanswered, per second",
                "ops",
                Query("sum by (job) (rate(sampan_outbox_send_failures_total[$__rate_interval]))", "{{job}}"),
            ),
            graph(
                "Outbox: rows and buckets held",
                "short",
                Query("max by (job) (sampan_outbox_rows)", "{{job}} rows"),
                Query("sum by (job) (sampan_outbox_buckets_held)", "{{job}} buckets of 16"),
            ),
            graph(
                "Events applied per second, by group and outcome",
                "ops",
                Query(
                    "sum by (group, outcome) (rate(sampan_consumer_events_total[$__rate_interval]))",
                    "{{group}} {{outcome}}",
                ),
            ),
            graph(
                "Records not yet applied, by group",
                "short",
                Query("max by (group, topic) (sampan_consumer_lag_records)", "{{group}}"),
            ),
            graph(
                "Partitions held, by group",
                "short",
                Query("sum by (group) (sampan_consumer_partitions)", "{{group}}"),
            ),
            graph(
                "Duration of a batch, 99 of 100",
                "s",
                Query(p99("sampan_consumer_transaction_seconds", "group"), "{{group}}"),
            ),
            graph(
                "Parked events, by group",
                "short",
                Query("max by (group) (sampan_consumer_parked_events)", "{{group}}"),
            ),
            graph(
                "Consumers that wait, were fenced off or began anew",
                "short",
                Query("max by (group) (sampan_consumer_retrying) or vector(0)", "waits {{group}}"),
                Query(
                    "sum by (group) (increase(sampan_consumer_fenced_total[$__rate_interval])) or vector(0)",
                    "fenced {{group}}",
                ),
                Query(
                    "sum by (group) (increase(sampan_consumer_restarts_total[$__rate_interval])) or vector(0)",
                    "anew {{group}}",
                ),
            ),
        ],
    )


def _database() -> Row:
    return Row(
        "Database",
        [
            graph(
                "Connections of the pools",
                "short",
                Query('sum by (pool) (sampan_pool_connections{state="busy"})', "{{pool}} busy"),
                Query('sum by (pool) (sampan_pool_connections{state="max"})', "{{pool}} at most"),
            ),
            graph(
                "Callers that wait for a connection",
                "short",
                Query("sum by (job) (sampan_pg_waiters)", "{{job}}"),
            ),
            graph(
                "Duration of a transaction, 99 of 100",
                "s",
                Query(p99("sampan_pg_transaction_seconds", "job"), "{{job}}"),
            ),
            graph(
                "Transactions per second",
                "ops",
                Query(
                    "sum by (job) (rate(sampan_pg_transaction_seconds_count[$__rate_interval]))", "{{job}}"
                ),
            ),
            graph(
                "Transactions repeated after a conflict, per second",
                "ops",
                Query("sum by (job) (rate(sampan_pg_retries_total[$__rate_interval]))", "{{job}}"),
            ),
            graph(
                "Calls that found no database, per second",
                "ops",
                Query("sum by (job) (rate(sampan_pg_unavailable_total[$__rate_interval]))", "{{job}}"),
            ),
        ],
    )


def _webhooks() -> Row:
    return Row(
        "Webhooks",
        [
            graph(
                "Attempts per second, by outcome",
                "ops",
                Query(
                    "sum by (outcome) (rate(sampan_webhooks_attempts_total[$__rate_interval]))", "{{outcome}}"
                ),
            ),
            graph(
                "Time until endpoints answer, 9 of 10",
                "s",
                Query(
                    "histogram_quantile(0.9, "
                    "sum by (le) (rate(sampan_webhooks_attempt_seconds_bucket[$__rate_interval])))",
                    "of all",
                ),
            ),
            graph(
                "How long an endpoint that answers waits for a sender",
                "s",
                Query("max(sampan_webhooks_oldest_due_seconds)", "at most"),
            ),
            graph(
                "Endpoints",
                "short",
                Query("max by (state) (sampan_webhooks_endpoints)", "{{state}}"),
            ),
        ],
    )


def _saturation() -> Row:
    return Row(
        "Saturation",
        [
            graph(
                "Lateness of the event loop, 99 of 100",
                "s",
                Query("instance:sampan_event_loop_lag_seconds:p99_5m", "{{job}} {{instance}}"),
            ),
            graph(
                "Placements: let in and turned away",
                "short",
                Query("sum(sampan_gateway_place_limit)", "may be under way"),
                Query("sum(sampan_gateway_place_under_way)", "are under way"),
                Query(
                    "sum(rate(sampan_gateway_place_shed_total[$__rate_interval])) or vector(0)",
                    "turned away a second",
                ),
            ),
            graph(
                "Rate limits: refused a second, and for how long a gateway counts alone",
                "short",
                Query(
                    "sum by (route_class, of) (rate(sampan_gateway_rate_limited_total[$__rate_interval]))",
                    "{{route_class}} of a {{of}}",
                ),
                Query("max(sampan_gateway_rate_limit_alone_seconds)", "alone, s"),
                Query(
                    "sum by (answer) (rate(sampan_gateway_failed_credentials_total[$__rate_interval]))",
                    "no good credential, {{answer}}",
                ),
            ),
            graph(
                "Items in queues",
                "short",
                Query("sum by (batcher) (sampan_batcher_queued_items)", "{{batcher}}"),
                Query(
                    "sum by (batcher) (rate(sampan_batcher_refused_items_total[$__rate_interval])) or vector(0)",
                    "refused a second {{batcher}}",
                ),
            ),
            graph(
                "Orders in a batch, on average",
                "short",
                Query(
                    "sum by (batcher) (rate(sampan_batcher_batch_items_sum[$__rate_interval])) "
                    "/ (sum by (batcher) (rate(sampan_batcher_batch_items_count[$__rate_interval])) > 0)",
                    "{{batcher}}",
                ),
            ),
            graph(
                "Processor: cores in use",
                "short",
                Query(
                    'rate(process_cpu_seconds_total{job!="prometheus"}[$__rate_interval])',
                    "{{job}} {{instance}}",
                ),
            ),
            graph(
                "Memory",
                "bytes",
                Query('process_resident_memory_bytes{job!="prometheus"}', "{{job}} {{instance}}"),
            ),
        ],
    )

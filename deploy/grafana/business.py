"""The dashboard of those who run the shop: orders, money, stock, holds, parcels."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.grafana.panels import Query, Row, graph, number

UID = "sampan-business"
TITLE = "Sampan: orders and stock"
DESCRIPTION = "Counted while it happens, so no books. Countries beyond the first 40 of a process are `other`."

PER_MINUTE = "60 * sum by ({by}) (rate({metric}[$__rate_interval]))"


def per_minute(metric: str, by: str) -> str:
    """Events per minute by a label."""
    return PER_MINUTE.format(metric=metric, by=by)


def rows() -> Sequence[Row]:
    """All panels."""
    return [
        Row(
            "Orders",
            [
                number(
                    "Placed in 24 h",
                    "short",
                    Query('sum(increase(sampan_orders_moved_total{to_state="PENDING"}[24h]))', "placed"),
                ),
                number(
                    "Confirmed in 24 h",
                    "short",
                    Query('sum(increase(sampan_orders_moved_total{to_state="CONFIRMED"}[24h]))', "confirmed"),
                ),
                number(
                    "Delivered in 24 h",
                    "short",
                    Query('sum(increase(sampan_orders_moved_total{to_state="DELIVERED"}[24h]))', "delivered"),
                ),
                number(
                    "Longest wait for the warehouse",
                    "s",
                    Query("max(sampan_orders_undecided_age_seconds)", "undecided"),
                ),
                number("Stuck orders", "short", Query("sum(max by (state) (sampan_orders_stuck))", "stuck")),
                number(
                    "Orders that need a person",
                    "short",
                    Query("sum(max by (state) (sampan_orders_unanswered))", "unanswered"),
                ),
                graph(
                    "Placed per minute, by country",
                    "short",
                    Query(
                        per_minute('sampan_orders_moved_total{to_state="PENDING"}', "region_code"),
                        "{{region_code}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Came into a state, per minute",
                    "short",
                    Query(per_minute("sampan_orders_moved_total", "to_state"), "{{to_state}}"),
                ),
                graph(
                    "By state and country, in 24 h",
                    "short",
                    Query(
                        "sum by (to_state, region_code) (increase(sampan_orders_moved_total[24h]))",
                        "{{to_state}} {{region_code}}",
                    ),
                ),
                graph(
                    "Open orders, by state",
                    "short",
                    Query("max by (state) (sampan_orders_open)", "{{state}}"),
                    description="Counted up to 10,000 per state.",
                ),
                graph(
                    "Age of the oldest open order, by state",
                    "s",
                    Query("max by (state) (sampan_orders_oldest_waiting_seconds)", "{{state}}"),
                ),
                graph(
                    "Answers to placements per minute",
                    "short",
                    Query(per_minute("sampan_orders_placed_total", "outcome"), "{{outcome}}"),
                    description="Accepted, replayed, or the reason of the refusal.",
                ),
            ],
        ),
        Row(
            "Money",
            [
                graph(
                    "Collected per hour, by currency",
                    "short",
                    Query(
                        "3600 * sum by (currency_code) (rate(sampan_orders_captured_amount_total[$__rate_interval]))",
                        "{{currency_code}}",
                    ),
                    description="Captured payments, and prepaid orders once they are confirmed.",
                ),
                graph(
                    "Revenue of 24 h, by currency",
                    "short",
                    Query(
                        "sum by (currency_code) (increase(sampan_orders_captured_amount_total[24h]))",
                        "{{currency_code}} collected",
                    ),
                    Query(
                        "sum by (currency_code) (increase(sampan_orders_refund_owed_amount_total[24h]))",
                        "{{currency_code}} to be given back",
                    ),
                ),
                graph(
                    "Calls to the payment provider per minute",
                    "short",
                    Query(
                        per_minute("sampan_orders_payment_provider_calls_total", "call, outcome"),
                        "{{call}} {{outcome}}",
                    ),
                ),
                graph(
                    "Notifications of payment providers per minute",
                    "short",
                    Query(
                        per_minute("sampan_orders_payment_notifications_total", "provider, result"),
                        "{{provider}} {{result}}",
                    ),
                ),
            ],
        ),
        Row(
            "Stock",
            [
                graph(
                    "SKUs sold out",
                    "short",
                    Query("max(sampan_gateway_availability_skus_sold_out)", "sold out everywhere"),
                    Query("max(sampan_gateway_availability_skus)", "all"),
                ),
                graph(
                    "Orders refused for stock-outs per minute",
                    "short",
                    Query(
                        "60 * sum(rate(sampan_gateway_sold_out_total[$__rate_interval]))",
                        "sold out at the door",
                    ),
                    Query(
                        per_minute("sampan_warehouse_rejections_total", "reason"),
                        "{{reason}} by the warehouse",
                    ),
                ),
                graph(
                    "Parcels moved per minute",
                    "short",
                    Query(per_minute("sampan_warehouse_parcels_advanced_total", "outcome"), "{{outcome}}"),
                ),
            ],
        ),
        Row(
            "Holds",
            [
                graph(
                    "Decisions about holds per minute",
                    "short",
                    Query(
                        per_minute("sampan_warehouse_decisions_total", "command, outcome"),
                        "{{command}}: {{outcome}}",
                    ),
                ),
                graph(
                    "Holds expired per minute, by how late",
                    "short",
                    Query(
                        "60 * sum by (le) (rate("
                        'sampan_warehouse_hold_expiry_lag_seconds_bucket{le=~"1.0|10.0|60.0|[+]Inf"}[$__rate_interval]))',
                        "at most {{le}} s",
                    ),
                ),
                graph(
                    "Holds past their deadline",
                    "short",
                    Query("max(sampan_warehouse_holds_pending_past_deadline)", "holds"),
                    Query("max(sampan_warehouse_oldest_overdue_hold_seconds)", "the oldest, seconds"),
                ),
            ],
        ),
    ]

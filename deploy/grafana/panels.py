"""The few kinds of panels that the dashboards are made of, all over one data source that the viewer may change."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8
COLUMNS = 24
FILL_PERCENT = 8.0
REF_IDS = "ABCDEFGH"


P = TypeVar("P", timeseries.Panel, stat.Panel)


class Query(NamedTuple):
    """An expression, and the name of each of its series; `{{label}}` stands for a label's value."""

    expr: str
    legend: str


class Row(NamedTuple):
    """Panels under a heading."""

    title: str
    panels: Iterable[timeseries.Panel | stat.Panel]


def graph(
    title: str, unit: str, *queries: Query, description: str = "", stacked: bool = False
) -> timeseries.Panel:
    """Lines over time, a third of the width; `unit` is one of Grafana's."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .height(HEIGHT)
        .span(COLUMNS // 3)
        .fill_opacity(FILL_PERCENT)
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    return _with(panel, queries)


def number(title: str, unit: str, *queries: Query, description: str = "") -> stat.Panel:
    """The last value, large."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .height(HEIGHT // 2)
        .span(COLUMNS // 6)
    )
    return _with(panel, queries)


def board(uid: str, title: str, description: str, rows: Iterable[Row]) -> str:
    """The JSON of a dashboard."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["sampan"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    ids = count(1)
    for row in rows:
        made = made.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made = made.with_panel(panel.id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build())


def _with(panel: P, queries: Iterable[Query]) -> P:
    for ref_id, query in zip(REF_IDS, queries, strict=False):
        target = prometheus.Dataquery().datasource(SOURCE).expr(query.expr).legend_format(query.legend)
        panel = panel.with_target(target.ref_id(ref_id))
    return panel

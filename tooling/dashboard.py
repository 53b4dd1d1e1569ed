"""The Grafana dashboard of a stack: `make dashboard` writes it to the files of `trainer server deploy`."""

from __future__ import annotations

import json
import string
import sys
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueTextMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef

DATASOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
# Of the routes: those that health checks and Prometheus ask would hide what users ask.
_PROBES = "/health|/ping|/metrics|/v2/health/.*"
_ASKED = f'route!~"{_PROBES}"'
# An explanation takes seconds: the model is asked hundreds of times for it.
_FAST = f'route!~"{_PROBES}|/explain"'
_HEIGHT, _WIDTH, _SMALL = 8, 8, 4


@dataclass(frozen=True)
class Query:
    """What Prometheus is asked, and what its series are called."""

    expression: str
    legend: str = ""

    def target(self) -> prometheus.Dataquery:
        """As Grafana has it."""
        target = prometheus.Dataquery().expr(self.expression).legend_format(self.legend)
        return target.datasource(DATASOURCE)


@dataclass(frozen=True)
class Graph:
    """Lines over time."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]

    def panel(self) -> timeseries.Panel:
        """As Grafana has it."""
        panel = timeseries.Panel().title(self.title).description(self.description).unit(self.unit).min(0)
        panel.datasource(DATASOURCE).height(_HEIGHT).span(_WIDTH)
        for letter, query in zip(string.ascii_uppercase, self.queries, strict=False):
            panel.with_target(query.target().ref_id(letter).range())
        return panel


@dataclass(frozen=True)
class Figure:
    """One number, or one name, as it is now."""

    title: str
    description: str
    unit: str
    query: Query

    def panel(self) -> stat.Panel:
        """As Grafana has it."""
        panel = stat.Panel().title(self.title).description(self.description).unit(self.unit)
        panel.datasource(DATASOURCE).height(_SMALL).span(_SMALL)
        if self.query.legend:
            panel.text_mode(BigValueTextMode.NAME)
        panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        return panel.with_target(self.query.target().ref_id("A").instant())


def _quantile(share: float) -> str:
    rate = f"sum by (le) (rate(model_request_seconds_bucket{{{_FAST}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {rate})"


FIGURES = (
    Figure("Model", "Whether Prometheus reaches it: 1 or 0.", "none", Query('up{job="model"}')),
    Figure("Tracking server", "Whether it says that it is well: 1 or 0.", "none",
           Query('probe_success{job="tracking"}')),
    Figure("Served", "The model that answers.", "none", Query("model_info", "{{name}} {{model}}")),
    Figure("Degraded", "1: another model is asked for than the one that answers; /health says why.", "none",
           Query("model_degraded")),
    Figure("Swaps", "How often another model has taken over since the start.", "none",
           Query("model_swaps_total")),
    Figure("Log errors", "Failed attempts to write the log of predictions since the start.", "none",
           Query("prediction_log_errors_total")),
    Figure("Up for", "Since the model's server was started.", "s",
           Query('time() - process_start_time_seconds{job="model"}')),
)  # fmt: skip
GRAPHS = (
    Graph("Requests", "By route and status.", "reqps", (
        Query(f"sum by (route, status) (rate(model_requests_total{{{_ASKED}}}[$__rate_interval]))",
              "{{route}} {{status}}"),
    )),
    Graph("Time to the answer", "Half, 95 and 99 of 100 requests are faster.", "s", tuple(
        Query(_quantile(share), name) for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )),
    Graph("Predictions", "Rows and images, by the class that they were given.", "ops", (
        Query("sum by (class) (rate(model_predictions_total[$__rate_interval]))", "{{class}}"),
    )),
    Graph("Waiting", "Requests that wait for the model.", "none", (
        Query("model_requests_waiting", "waiting"),
    )),
    Graph("Batch size", "Rows or images that the model was given at once.", "none", (
        Query("rate(model_batch_size_sum[$__rate_interval]) / rate(model_batch_size_count[$__rate_interval])",
              "mean"),
        Query("histogram_quantile(0.95, sum by (le) (rate(model_batch_size_bucket[$__rate_interval])))",
              "p95"),
    )),
    Graph("Memory", "Of the model's server.", "bytes", (
        Query('process_resident_memory_bytes{job="model"}', "resident"),
    )),
    Graph("Processor", "Cores that the model's server keeps busy.", "none", (
        Query('rate(process_cpu_seconds_total{job="model"}[$__rate_interval])', "cores"),
    )),
)  # fmt: skip


def text() -> str:
    """The dashboard as JSON."""
    dashboard = (
        Dashboard("Models").uid("trainer-models").tags(["trainer"]).refresh("10s").time("now-1h", "now")
        .timezone("browser").editable()
    )  # fmt: skip
    for each in (*FIGURES, *GRAPHS):
        dashboard.with_panel(each.panel())
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())

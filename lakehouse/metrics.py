"""What the writer tells Prometheus, where the setting metrics_port opens a door for it: the figures of `status`.

The names are here and nowhere else; docker/grafana has a board of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.stages import Context


class WriterFigures(Collector):
    """The writer's last account of itself, as `lakehouse.writer.Writer.state` makes it, read off when asked.

    A figure that is not known, such as the lag while Kafka is away, is left out: no sample is no zero.
    """

    def __init__(self) -> None:
        self.state: Mapping[str, Any] = {}

    def collect(self) -> Iterator[Metric]:
        state, streams = self.state, self.state.get("streams", {})
        batches = {name: stream["last_batch"] for name, stream in streams.items() if stream["last_batch"]}
        yield _one(
            "lakehouse_events_per_second", "Events that came into bronze, over ten seconds.", state, "events_per_second"
        )
        yield _one("lakehouse_lag_events", "Events in Kafka that are not in bronze yet.", state, "lag_events")
        yield _one(
            "lakehouse_lag_seconds", "How far the stream that is furthest behind is behind.", state, "lag_seconds"
        )
        watermark = state.get("watermark")
        yield _one(
            "lakehouse_watermark_timestamp_seconds",
            "Event time before which windows are final; Unix time.",
            {"at": None if watermark is None else datetime.fromisoformat(watermark).timestamp()},
            "at",
        )
        yield _one(
            "lakehouse_alarms",
            "What will not mend by itself.",
            {"alarms": len(state["alarms"])} if state else {},
            "alarms",
        )
        yield _each("lakehouse_table_rows", "Rows of a Delta table.", "table", state.get("tables", {}))
        yield _each(
            "lakehouse_stream_lag_seconds",
            "How far a stream is behind, beyond its own interval.",
            "stream",
            {name: stream["lag_seconds"] for name, stream in streams.items()},
        )
        yield _each(
            "lakehouse_stream_rows",
            "Rows in a stream's main target.",
            "stream",
            {name: stream["rows"] for name, stream in streams.items()},
        )
        yield _each(
            "lakehouse_stream_batch_seconds",
            "Seconds that a stream's last batch took.",
            "stream",
            {name: batch["seconds"] for name, batch in batches.items()},
        )
        yield _each(
            "lakehouse_stream_batch_rows",
            "Rows of a stream's last batch.",
            "stream",
            {name: batch["rows"] for name, batch in batches.items()},
        )
        yield _each(
            "lakehouse_stream_waits",
            "1 where a stream waits or has stopped, with an error in `lakehouse status`.",
            "stream",
            {name: float(stream["error"] is not None) for name, stream in streams.items()},
        )


class MetricsReporter:
    """Serves the figures, without a key, at the setting bind_address: they tell how many, never of whom."""

    def __init__(self, context: Context) -> None:
        """Raises LakehouseError where the port is taken."""
        self._figures = WriterFigures()
        settings = context.settings
        if settings.metrics_port == 0:
            return
        registry = CollectorRegistry()
        registry.register(self._figures)
        try:
            start_http_server(settings.metrics_port, settings.bind_address, registry)
        except OSError as error:
            raise LakehouseError(
                f"port {settings.metrics_port} of {settings.bind_address} cannot be listened on ({error.strerror}); "
                "set LAKEHOUSE_METRICS_PORT to another, or to 0 for no metrics"
            ) from None

    def __call__(self, state: Mapping[str, Any]) -> None:
        self._figures.state = state


def _one(name: str, meaning: str, told: Mapping[str, Any], key: str) -> Metric:
    metric = GaugeMetricFamily(name, meaning)
    if told.get(key) is not None:
        metric.add_metric([], float(told[key]))
    return metric


def _each(name: str, meaning: str, label: str, told: Mapping[str, float | None]) -> Metric:
    metric = GaugeMetricFamily(name, meaning, labels=[label])
    for of, value in told.items():
        if value is not None:
            metric.add_metric([of], float(value))
    return metric

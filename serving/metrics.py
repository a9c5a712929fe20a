"""What Prometheus is told: every metric in one place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.champion import Champion

SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Edges of the latency's buckets; 15 ms is what 99 of 100 predictions are to take at most."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other is counted as OTHER: a label must not be of a caller's choosing."""


class Metrics:
    """The metrics of one application."""

    def __init__(self, champion: Champion) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lakehouse_api_requests",
            "Requests answered, by the route's template.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "lakehouse_api_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.predictions = Counter(
            "lakehouse_api_predictions",
            "Users scored, by what was said of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.registry.register(_OfTheModel(champion))

    def predicted(self, churned: npt.NDArray[np.bool_]) -> None:
        """Counts users who were scored."""
        called = int(churned.sum())
        self.predictions.labels("churned").inc(called)
        self.predictions.labels("stays").inc(len(churned) - called)


class _OfTheModel(Collector):
    """Read off the champion when asked, so that they cannot differ from what serves."""

    def __init__(self, champion: Champion) -> None:
        self._champion = champion

    def collect(self) -> Iterator[Metric]:
        serving = self._champion.serving
        info = GaugeMetricFamily(
            "lakehouse_api_model_info", "1 for the model that serves.", labels=["version", "simulated"]
        )
        if serving.package is not None:
            card = serving.package.card
            info.add_metric([card.version, str(card.simulated).lower()], 1)
        yield info
        yield CounterMetricFamily(
            "lakehouse_api_model_load_failures", "Model files that were refused.", value=serving.failures
        )


class Measured:
    """Counts and times each request; ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "path_format", "none")
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)

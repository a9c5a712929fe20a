"""The REST API: churn scores, what is stored of a user, and its health.

``python -m serving.api`` runs it for the running stack, on settings.bind_address and the port in the endpoints. On
SIGTERM it takes no more requests, answers those it has, and ends.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from urllib.parse import urlsplit

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response, status
from fastapi.security import APIKeyHeader
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import create_engine
from starlette.responses import PlainTextResponse

from lakehouse.api_keys import KeyRing
from lakehouse.doors import is_loopback, own_key, require_key
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings
from serving import predict, problems, users
from serving.champion import Champion
from serving.gate import BodyGate, Gate, Lock
from serving.health import EXAMPLE_503, Alive, Readiness, check, check_model
from serving.metrics import Measured, Metrics
from serving.postgres import connect
from serving.rate import RateLimit

PATIENCE_S = 2.0
"""Longest wait for a connection, for a statement, and for a place in the pool, when asked whether all is ready."""
GRACE_S = 8
"""Longest wait for requests under way at shutdown; the supervisor waits ten seconds."""
POOL_SIZE = 4

_KEY = APIKeyHeader(name="X-API-Key", auto_error=False)
"""For the documentation; the gate has asked for it by then."""


class Index(BaseModel):
    """What there is."""

    name: str = Field(examples=["interaction-lakehouse"])
    version: str = Field(examples=["0.1.0"])
    links: dict[str, str] = Field(description="Paths, by what they are.", examples=[{"health": "/healthz"}])


def create_app(settings: Settings, endpoints: Endpoints) -> FastAPI:
    """The application; nothing is asked of any server until the first request needs it.

    Raises LakehouseError where it is to listen on more than loopback without a key.
    """
    engine = create_engine(
        "postgresql+psycopg2://",
        creator=lambda: connect(
            endpoints.postgres_reader,
            application_name="lakehouse api",
            connect_timeout_s=PATIENCE_S,
            statement_timeout_s=PATIENCE_S,
        ),
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=PATIENCE_S,
        pool_pre_ping=True,  # a connection that a restart of Postgres has cut is replaced, not handed out
    )

    champion = Champion(settings.model_file or Home(settings.home).champion)
    metrics = Metrics(champion)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        champion.watch()
        yield
        champion.close()
        engine.dispose()

    package = "interaction-lakehouse"
    app = FastAPI(
        title="Interaction lakehouse",
        summary="Churn scores of users, and what is stored of them in Postgres.",
        version=version(package),
        lifespan=lifespan,
    )
    app.state.settings, app.state.engine, app.state.champion = settings, engine, champion
    require_key(settings)
    always = settings.api_key is not None or not is_loopback(settings.bind_address)
    lock = Lock(KeyRing(Home(settings.home)), [own_key(settings)], always)
    limit = RateLimit(settings.api_requests_per_minute) if settings.api_requests_per_minute else None
    # The last one added is the first that a request meets. None lets pages of other origins read answers (CORS).
    app.add_middleware(BodyGate, max_mb=settings.api_max_body_mb)
    app.add_middleware(Gate, lock=lock, limit=limit)
    app.add_middleware(Measured, metrics=metrics)
    problems.install(app)

    keyed = APIRouter(
        dependencies=[Depends(_KEY)] if lock.is_shut else [],
        responses={**(problems.responses(401, 403) if lock.is_shut else {}), **problems.responses(429)},
    )
    keyed.include_router(predict.router(champion, metrics, settings.api_max_batch_rows, settings.api_max_body_mb))
    keyed.include_router(users.router(engine))

    @keyed.get("/metrics", summary="Metrics for Prometheus", tags=["service"], response_class=PlainTextResponse)
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(keyed)

    @app.get("/", summary="What there is", tags=["service"])
    async def index(request: Request) -> Index:
        links = {
            "health": "/healthz",
            "readiness": "/readyz",
            "openapi": "/openapi.json",
            "documentation": "/docs",
            "predict": "/predict",
            "model": "/model",
            "metrics": "/metrics",
        }
        root = request.scope.get("root_path", "")
        return Index(name=package, version=app.version, links={name: root + path for name, path in links.items()})

    @app.get("/healthz", summary="Is the process alive?", tags=["service"])
    async def healthz() -> Alive:
        return Alive()

    @app.get(
        "/readyz",
        summary="Can requests be answered?",
        tags=["service"],
        responses={503: {"model": Readiness, "description": "Not now", **EXAMPLE_503}},
    )
    def readyz(response: Response) -> Readiness:
        dependencies = [*check(engine), check_model(champion.serving)]
        if all(dependency.ok for dependency in dependencies):
            return Readiness(status="ready", dependencies=dependencies)
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Readiness(status="not ready", dependencies=dependencies)

    return app


def main() -> None:
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = load_settings()
        endpoints = Endpoints.load(Home(settings.home))
        app = create_app(settings, endpoints)
    except LakehouseError as error:
        sys.exit(f"serving.api: {error}")
    uvicorn.run(
        app,
        host=settings.bind_address,
        port=settings.api_port or urlsplit(endpoints.api).port or 0,  # that of the endpoints was picked, or a proxy's
        timeout_graceful_shutdown=GRACE_S,
        access_log=False,  # the supervisor asks for the health all the time
    )


if __name__ == "__main__":
    main()

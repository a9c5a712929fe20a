"""The REST API: today its health, and what it needs to answer.

``python -m serving.api`` runs it for the running stack, on settings.bind_address and the port in the endpoints. On
SIGTERM it takes no more requests, answers those it has, and ends.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings
from serving.migrate import head
from serving.postgres import connect, reason

PATIENCE_S = 2.0
"""Longest wait for a connection, for a statement, and for a place in the pool, when asked whether all is ready."""
GRACE_S = 8
"""Longest wait for requests under way at shutdown; the supervisor waits ten seconds."""
POOL_SIZE = 4


class Alive(BaseModel):
    """The process runs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"] = "alive"


class Dependency(BaseModel):
    """Something that the API needs to answer."""

    name: str = Field(description="What it is.", examples=["postgres"])
    ok: bool = Field(description="Whether it does what is needed.")
    reason: str | None = Field(default=None, description="Why it does not; never an address with a password.")


_READY: dict[str, Any] = {"status": "ready", "dependencies": [{"name": "postgres", "ok": True, "reason": None}]}
_NOT_READY: dict[str, Any] = {
    "status": "not ready",
    "dependencies": [
        {
            "name": "postgres",
            "ok": False,
            "reason": "Postgres at 127.0.0.1:15432 does not answer: Connection refused; `lakehouse status` shows "
            "whether it runs",
        },
        {"name": "migrations", "ok": False, "reason": "unknown while Postgres does not answer"},
    ],
}

_EXAMPLE_503: dict[str, Any] = {"content": {"application/json": {"example": _NOT_READY}}}


class Readiness(BaseModel):
    """Whether requests can be answered, and what is missing where they cannot."""

    model_config = ConfigDict(json_schema_extra={"examples": [_READY]})

    status: Literal["ready", "not ready"]
    dependencies: list[Dependency]


class Index(BaseModel):
    """What there is."""

    name: str = Field(examples=["interaction-lakehouse"])
    version: str = Field(examples=["0.1.0"])
    links: dict[str, str] = Field(description="Paths, by what they are.", examples=[{"health": "/healthz"}])


def create_app(settings: Settings, endpoints: Endpoints) -> FastAPI:
    """The application; nothing is asked of any server until the first request needs it."""
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

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        engine.dispose()

    package = "interaction-lakehouse"
    app = FastAPI(
        title="Interaction lakehouse",
        summary="User interactions, from the mirrors of gold in Postgres.",
        version=version(package),
        lifespan=lifespan,
    )

    app.state.settings, app.state.engine = settings, engine

    @app.get("/", summary="What there is", tags=["service"])
    def index(request: Request) -> Index:
        links = {"health": "/healthz", "readiness": "/readyz", "openapi": "/openapi.json", "documentation": "/docs"}
        root = request.scope.get("root_path", "")
        return Index(name=package, version=app.version, links={name: root + path for name, path in links.items()})

    @app.get("/healthz", summary="Is the process alive?", tags=["service"])
    async def healthz() -> Alive:
        return Alive()

    @app.get(
        "/readyz",
        summary="Can requests be answered?",
        tags=["service"],
        responses={503: {"model": Readiness, "description": "Not now", **_EXAMPLE_503}},
    )
    def readyz(response: Response) -> Readiness:
        dependencies = check(engine)
        if all(dependency.ok for dependency in dependencies):
            return Readiness(status="ready", dependencies=dependencies)
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Readiness(status="not ready", dependencies=dependencies)

    return app


def check(engine: Engine) -> list[Dependency]:
    """Whether Postgres answers, and has the schema that this code expects; takes a few seconds at most."""
    try:
        found = _revision(engine)
    except (LakehouseError, SQLAlchemyError) as error:
        return [
            Dependency(name="postgres", ok=False, reason=_reason(error)),
            Dependency(name="migrations", ok=False, reason="unknown while Postgres does not answer"),
        ]
    return [Dependency(name="postgres", ok=True), _migrations(found, head())]


def _revision(engine: Engine) -> str | None:
    """The revision of the schema; None where no migration has run."""
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        if connection.exec_driver_sql("SELECT to_regclass('public.alembic_version')").scalar_one() is None:
            return None
        found = connection.exec_driver_sql("SELECT version_num FROM public.alembic_version").scalar_one_or_none()
    return None if found is None else str(found)


def _migrations(found: str | None, expected: str) -> Dependency:
    if found == expected:
        return Dependency(name="migrations", ok=True)
    why = f"the schema is at {found or 'nothing'}, this version needs {expected}; run `python -m serving.migrate`"
    return Dependency(name="migrations", ok=False, reason=why)


def _reason(error: Exception) -> str:
    if isinstance(error, DBAPIError) and error.orig is not None:
        return reason(error.orig)  # without the statement that SQLAlchemy adds
    return str(error)


def main() -> None:
    try:
        settings = load_settings()
        endpoints = Endpoints.load(Home(settings.home))
    except LakehouseError as error:
        sys.exit(f"serving.api: {error}")
    uvicorn.run(
        create_app(settings, endpoints),
        host=settings.bind_address,
        port=urlsplit(endpoints.api).port or settings.api_port,
        timeout_graceful_shutdown=GRACE_S,
        access_log=False,  # the supervisor asks for the health all the time
    )


if __name__ == "__main__":
    main()

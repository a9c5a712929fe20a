"""Whether the API lives, and whether what it needs to answer is there."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lakehouse.errors import LakehouseError
from serving.champion import Serving
from serving.migrate import head
from serving.postgres import reason


class Alive(BaseModel):
    """The process runs."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "alive"}]})

    status: Literal["alive"] = "alive"


class Dependency(BaseModel):
    """Something that the API needs to answer."""

    name: str = Field(description="What it is.", examples=["postgres"])
    ok: bool = Field(description="Whether it does what is needed.")
    reason: str | None = Field(
        default=None,
        description="Why it does not, or what is to be known though it does; never an address with a password.",
    )


_READY: dict[str, Any] = {
    "status": "ready",
    "dependencies": [{"name": name, "ok": True, "reason": None} for name in ("postgres", "migrations", "model")],
}
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
        {"name": "model", "ok": True, "reason": None},
    ],
}

EXAMPLE_503: dict[str, Any] = {"content": {"application/json": {"example": _NOT_READY}}}


class Readiness(BaseModel):
    """Whether requests can be answered, and what is missing where they cannot."""

    model_config = ConfigDict(json_schema_extra={"examples": [_READY]})

    status: Literal["ready", "not ready"]
    dependencies: list[Dependency]


def check(engine: Engine) -> list[Dependency]:
    """Whether Postgres answers, and has the schema that this code expects; takes a few seconds at most."""
    try:
        found = _revision(engine)
    except (LakehouseError, SQLAlchemyError) as error:
        return [
            Dependency(name="postgres", ok=False, reason=why(error)),
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


def why(error: Exception) -> str:
    """The reason in one line."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return reason(error.orig)  # without the statement that SQLAlchemy adds
    return str(error)


def check_model(serving: Serving) -> Dependency:
    """Whether a model serves; one that goes on after a new file was refused does, with the reason."""
    return Dependency(name="model", ok=serving.package is not None, reason=serving.problem)

"""What is stored of a user's churn, from the mirror in Postgres."""

from __future__ import annotations

from typing import Any, Final

import psycopg2
from fastapi import APIRouter, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lakehouse.contracts import ChurnPrediction
from lakehouse.errors import Unavailable
from serving.health import why
from serving.problems import responses

TABLE: Final = ChurnPrediction.name
COLUMNS: Final = ChurnPrediction.columns()


class StoredPrediction(BaseModel):
    """The latest stored prediction of a user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user_id": "u17",
                    "churn_probability": 0.83,
                    "churned": True,
                    "threshold": 0.5,
                    "model_version": "3",
                    "as_of": "2026-03-01T11:59:00Z",
                    "scored_at": "2026-03-01T12:00:03Z",
                    "reasons": ["last seen 41 days ago (typical: 12): raises the risk"],
                    "features": {"num_views": 5, "num_add_to_cart": 2, "num_purchases": 0},
                    "error": None,
                }
            ]
        }
    )

    user_id: str
    churn_probability: float | None
    churned: bool | None
    threshold: float | None
    model_version: str | None
    as_of: AwareDatetime = Field(description="The cut of the features.")
    scored_at: AwareDatetime
    reasons: list[str]
    features: dict[str, Any]
    error: str | None = Field(description="Why the features could not be scored; then there is no score.")


def router(engine: Engine) -> APIRouter:
    """Reads with ``engine``, whose role may only read."""
    routes = APIRouter(tags=["users"])

    # ``path``: a user's id may hold a slash.
    @routes.get(
        "/users/{user_id:path}/churn",
        summary="What was last said of this user?",
        responses=responses(404, 422, 503),
    )
    def churn(user_id: str) -> StoredPrediction:
        """As stored by the stream, a few seconds after what the user did."""
        row = _stored(engine, user_id)
        if row is None:
            raise HTTPException(404, f"no prediction is stored of the user {user_id[:100]!r}")
        return StoredPrediction(**row)

    return routes


def _stored(engine: Engine, user_id: str) -> dict[str, Any] | None:
    if "\0" in user_id:  # which Postgres cannot hold
        return None
    query = f"SELECT {', '.join(COLUMNS)} FROM public.{TABLE} WHERE user_id = %s"  # noqa: S608 (names of the contract)
    try:
        with engine.connect() as connection:
            row = connection.exec_driver_sql(query, (user_id,)).mappings().first()
    except DBAPIError as error:
        if isinstance(error.orig, psycopg2.errors.UndefinedTable):
            raise Unavailable(f"Postgres has no {TABLE} yet; run `python -m serving.migrate`") from None
        raise Unavailable(why(error)) from None
    except SQLAlchemyError as error:
        raise Unavailable(why(error)) from None
    return None if row is None else dict(row)

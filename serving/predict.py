"""Scoring over HTTP: one user, many users, and what serves."""

from __future__ import annotations

from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from ml.evaluate import Floats
from ml.models import matrix_of
from ml.package import Package
from serving.champion import Champion
from serving.features import FEATURES_OF_ONE, GIVEN, Reasons, batch_of, batch_schema, fractions
from serving.metrics import Metrics
from serving.model_card import Card, describe
from serving.problems import MOST, AsciiJSON, Loc, Refusal, Refused, refused, responses
from serving.scores import as_arrow, as_json, rows_of_arrow, score

ARROW: Final = "application/vnd.apache.arrow.stream"

BATCHES_AT_ONCE: Final = 2
"""A batch is scored beside the event loop; more of them at once would only take memory."""

_REASON: Final = "last seen 41 days ago (typical: 12): raises the risk"


class OfARow(BaseModel):
    """What is said of one user."""

    churned: bool = Field(description="Whether the probability is at the threshold or above.")
    churn_probability: float = Field(description="Of no event within the model's horizon.")
    reasons: list[str] = Field(description="The features that moved it most, the strongest first.")


class Prediction(OfARow):
    """What is said of one user, and by which model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "churned": True,
                    "churn_probability": 0.83,
                    "threshold": 0.5,
                    "model_version": "3",
                    "reasons": [_REASON],
                }
            ]
        }
    )

    threshold: float
    model_version: str


class Predictions(BaseModel):
    """What is said of each row, in the rows' order, by one model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_version": "3",
                    "threshold": 0.5,
                    "predictions": [{"churned": True, "churn_probability": 0.83, "reasons": [_REASON]}],
                }
            ]
        }
    )

    model_version: str
    threshold: float
    predictions: list[OfARow]


def router(champion: Champion, metrics: Metrics, max_rows: int, max_mb: int) -> APIRouter:
    """Routes that answer with what ``champion`` holds when they are asked."""
    routes = APIRouter(tags=["scoring"])
    batch = batch_of(max_rows)
    at_once = anyio.CapacityLimiter(BATCHES_AT_ONCE)

    # Not in a thread: a score takes about a millisecond, and the way to a thread and back under load takes longer.
    @routes.post(
        "/predict",
        summary="Will this user churn?",
        response_model=Prediction,
        responses=responses(413, 422, 503),
        openapi_extra=_body({"application/json": FEATURES_OF_ONE.json_schema()}),
    )
    async def predict(request: Request) -> Response:
        """Three counts are enough; each further feature makes the score better."""
        try:
            row = FEATURES_OF_ONE.validate_json(await request.body())
        except ValidationError as error:
            raise refused(error, lambda _: GIVEN) from None
        x = _matrix([row], ("body",))
        package = champion.serving.required()
        scores = score(package, x, "all")
        metrics.predicted(scores.churned)
        return AsciiJSON(
            {
                "churned": bool(scores.churned[0]),
                "churn_probability": float(scores.probability[0]),
                "threshold": package.model.threshold,
                "model_version": package.card.version,
                "reasons": scores.reasons[0],
            }
        )

    @routes.post(
        "/predict/batch",
        summary="Will these users churn?",
        response_model=Predictions,
        responses={
            200: {
                "content": {ARROW: {"schema": {"type": "string", "format": "binary"}}},
                "headers": {
                    "X-Model-Version": {"schema": {"type": "string"}, "description": "Which model."},
                    "X-Threshold": {"schema": {"type": "number"}, "description": "Its threshold."},
                },
            },
            **responses(413, 422, 503),
        },
        openapi_extra=_body(
            {"application/json": batch_schema(batch), ARROW: {"type": "string", "format": "binary"}},
        ),
    )
    async def predict_batch(request: Request, reasons: Reasons = "none") -> Response:
        """Thousands of users in one call, as JSON or as an Arrow stream; the answer comes in the same form.

        An Arrow stream holds the features as columns, others are ignored; the answer has churn_probability, churned
        and reasons. In JSON, `reasons` in the body goes before the one in the address.
        """
        body, form = await request.body(), request.headers.get("content-type", "").partition(";")[0].strip().lower()
        answer = _arrow_answer if form == ARROW else _json_answer
        return await anyio.to_thread.run_sync(answer, body, reasons, limiter=at_once)

    def _json_answer(body: bytes, reasons: Reasons) -> Response:
        try:
            asked = batch.validate_json(body)
        except ValidationError as error:
            raise refused(error, lambda loc: GIVEN if len(loc) > 1 else ("rows", "reasons")) from None
        wanted: Any = asked.get("reasons", reasons)
        x = _matrix(asked["rows"], ("body", "rows"))
        package = champion.serving.required()
        scores = score(package, x, {True: "churned", False: "none"}.get(wanted, wanted))
        metrics.predicted(scores.churned)
        return Response(as_json(package, scores), media_type="application/json", headers=_headers(package))

    def _arrow_answer(body: bytes, reasons: Reasons) -> Response:
        x = rows_of_arrow(body, max_rows, max_mb)
        package = champion.serving.required()
        scores = score(package, x, reasons)
        metrics.predicted(scores.churned)
        return Response(as_arrow(scores), media_type=ARROW, headers=_headers(package))

    @routes.get("/model", summary="What serves?", responses=responses(503))
    async def model() -> Card:
        """The model that serves, what it was trained on, and how good it is."""
        # Whoever has just promoted one asks here whether it serves: it is looked for at once.
        await anyio.to_thread.run_sync(champion.look)
        serving = champion.serving
        return describe(serving.required(), serving.loaded_at, serving.problem)

    return routes


def _matrix(rows: list[dict[str, float | None]], loc: Loc) -> Floats:
    """Raises Refused where a count is no whole number; ``loc`` says where the rows were, or the only one."""
    x = matrix_of(rows)
    if found := fractions(x, MOST):
        in_batch = loc[-1] == "rows"
        said = "Input should be a whole number"
        raise Refused([Refusal((*loc, *([n] if in_batch else []), name), said, "whole_number") for n, name in found])
    return x


def _headers(package: Package) -> dict[str, str]:
    return {"X-Model-Version": package.card.version, "X-Threshold": repr(package.model.threshold)}


def _body(schemas: dict[str, Any]) -> dict[str, Any]:
    """The documentation of a body that is read here and not by FastAPI: its checks say more, and take less time."""
    return {"requestBody": {"required": True, "content": {form: {"schema": s} for form, s in schemas.items()}}}

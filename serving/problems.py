"""What a caller is told when a request cannot be answered: in FastAPI's form, as ASCII, and without the input.

The input is left out because it may be what no JSON can say (NaN, half a surrogate), and then the answer would fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from lakehouse.errors import Unavailable

MOST: Final = 100
"""So many things that are wrong are named at most."""
MOST_CHARACTERS: Final = 100
"""Of a field's name that a caller made up."""

Loc: TypeAlias = tuple[str | int, ...]


class Problem(BaseModel):
    """Why a request was not answered, and what helps."""

    detail: str


class Wrong(BaseModel):
    """One thing that is wrong with a request."""

    loc: list[str | int] = Field(description="Where: body or query, for a batch the row's number from 0 on, the field.")
    msg: str = Field(description="Why it is refused.")
    type: str = Field(description="The reason's name, for programs.")


class WrongRequest(BaseModel):
    """What is wrong with a request."""

    detail: list[Wrong]


@dataclass(frozen=True)
class Refusal:
    """A `Wrong`, before it is told."""

    loc: Loc
    msg: str
    type: str


class Refused(Exception):
    """A request that says what it may not."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__(refusals)
        self.refusals = refusals


class AsciiJSON(JSONResponse):
    """JSON that is valid whatever a caller's text was."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def refused(error: ValidationError, known: Callable[[Loc], Sequence[str]]) -> Refused:
    """What pydantic found in a body; ``known`` says which fields there are at a place, for whoever gave another."""
    if error.error_count() > MOST:
        return Refused([Refusal(("body",), f"{error.error_count():,} things are wrong with it", "too_many_errors")])
    found = []
    for told in error.errors(include_url=False, include_input=False, include_context=False):
        message = told["msg"]
        if told["type"] == "extra_forbidden":
            message = f"is not known here; there are {', '.join(known(told['loc']))}"
        loc = tuple(part[:MOST_CHARACTERS] if isinstance(part, str) else part for part in told["loc"])
        found.append(Refusal(("body", *loc), message, told["type"]))
    return Refused(found)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of these statuses."""
    return {status: _RESPONSES[status] for status in statuses}


def install(app: FastAPI) -> None:
    """Answers of ``app`` to what went wrong."""

    @app.exception_handler(Refused)
    async def _refused(_: Request, error: Refused) -> Response:
        return AsciiJSON({"detail": [asdict(refusal) for refusal in error.refusals]}, status_code=422)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        told = [{name: found[name] for name in ("loc", "msg", "type")} for found in error.errors()]
        return AsciiJSON({"detail": told}, status_code=422)

    @app.exception_handler(Unavailable)
    async def _unavailable(_: Request, error: Unavailable) -> Response:
        return AsciiJSON({"detail": str(error)}, status_code=503)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        return AsciiJSON({"detail": error.detail}, status_code=error.status_code, headers=error.headers)


def _problem(description: str, example: str) -> dict[str, Any]:
    return {
        "model": Problem,
        "description": description,
        "content": {"application/json": {"example": {"detail": example}}},
    }


_RESPONSES: Final[dict[int, dict[str, Any]]] = {
    401: _problem("The key is missing or wrong", "this API needs a valid key, in the header X-API-Key"),
    403: _problem("The key is for something else", "this needs a key with the scope 'score'"),
    404: _problem("There is no such thing", "no prediction is stored of the user 'u17'"),
    413: _problem("The body is too large", "the body is larger than api_max_body_mb=8 MB; send fewer rows at once"),
    422: {
        "model": WrongRequest,
        "description": "The request says what it may not",
        "content": {
            "application/json": {
                "example": {
                    "detail": [
                        {
                            "loc": ["body", "num_views"],
                            "msg": "Input should be greater than or equal to 0",
                            "type": "greater_than_equal",
                        }
                    ]
                }
            }
        },
    },
    429: _problem("Too many requests; Retry-After says when", "too many requests (api_requests_per_minute)"),
    503: _problem("Not now", "there is no churn model yet: `lakehouse train` makes one"),
}
